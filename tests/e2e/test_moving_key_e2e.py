"""The bank's agreement key is rotated between two logins of a bound browser phone, and the old one is destroyed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_process import GatewayProcess
from people import Desktop, Phone, bind, meet
from playwright.sync_api import expect

from gateway.keys.labels import agree_label
from hsm_adapters.api import HsmAdapter, KeyKind
from hsm_adapters.registry import open_store

MakeDesktop = Callable[..., Desktop]
MakePhone = Callable[..., Phone]
CUSTOMER = "Claire Martin"


def at_the_key_store(bank: GatewayProcess, work: Callable[[HsmAdapter], Awaitable[Any]]) -> None:
    """Do what an operator does beside the running gateway, which finds the key store changed."""

    async def run() -> None:
        adapter = await open_store(bank.key_store.uri)
        try:
            await work(adapter)
        finally:
            await adapter.close()

    with ThreadPoolExecutor(1) as elsewhere, pytest.MonkeyPatch.context() as patch:
        for name, value in bank.key_store.environment.items():
            patch.setenv(name, value)
        # The browser driver has the loop of this thread.
        elsewhere.submit(lambda: asyncio.run(run())).result()


def log_in(bank: GatewayProcess, desktop: Desktop, phone: Phone) -> None:
    """Log in by the phone."""
    desktop.begin_login(bank.address, CUSTOMER)
    number = desktop.number()
    phone.approve(number=number)
    desktop.expect_logged_in()
    phone.expect_end("approved")


def test_bound_phone_logs_in_after_the_key_was_rotated_and_the_old_one_destroyed(
    own_gateway: Callable[..., GatewayProcess], make_desktop: MakeDesktop, make_phone: MakePhone
) -> None:
    bank = own_gateway()
    desktop, phone = make_desktop("en"), make_phone("en")
    meet(desktop, phone, bank.address, CUSTOMER)
    bind(desktop, phone)
    log_in(bank, make_desktop("en"), phone)
    tenant = json.loads((bank.data / "demo.json").read_text())["tenant"]
    old, new = agree_label(tenant), agree_label(tenant, 2)
    at_the_key_store(bank, lambda adapter: adapter.generate(new, KeyKind.AGREE_P256))
    bank.restart()  # sooner than the minute within which it would hear of the key
    expect(phone.page.get_by_text("Connected")).to_be_visible(timeout=40_000)
    log_in(bank, make_desktop("en"), phone)
    at_the_key_store(bank, lambda adapter: adapter.destroy(old))
    phone.close_and_come_back()
    log_in(bank, make_desktop("en"), phone)
