"""T17: the typed code is guessed, its locator first."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attack_kit import WireNetwork, audit_words, bind_phone, phone_over, refusal
from gateway_kit import HOST, GatewayKit
from msgspec.structs import replace

from gateway.core.encoding import b64url_decode
from gateway.core.secrets import system_random
from gateway.phone.client import PhoneClient
from gateway.phone.errors import BankKeyChanged, ConnectionLost
from gateway.phone.models import PendingContact, PhoneKeys
from gateway.phone.transport import Config, TenantConfig, TypedAnswer
from gateway.protocol.code import TypedCode
from gateway.protocol.crockford import ALPHABET
from gateway.protocol.errors import ErrorCode, HandshakeFailed
from gateway.protocol.first_contact import FirstContactResponder
from gateway.protocol.frames import parse_hello
from gateway.protocol.keys import compress, first_contact_prologue, typed_psk
from gateway.protocol.noise import run_local
from gateway.protocol.primitives import P256
from gateway.protocol.wiretypes import Bytes33
from gateway.settings import RateLimit


async def found_by_locator(kit: GatewayKit, typed: str) -> PendingContact:
    """Learn what anybody learns who knows the five characters of the locator."""
    locator = typed.replace("-", "").replace(" ", "")[:5]
    found = await kit.call("GET", f"/phone/v1/typed/{locator}")
    config = await kit.call("GET", "/phone/v1/config")
    return PendingContact(
        host=HOST,
        activation_id=b64url_decode(found["activation"]),
        psk=bytes(32),
        rotation=0xFFFF,
        gateway_public=b64url_decode(config["tenants"][0]["s"]),
        expiry=found["expires"],
        keys=PhoneKeys.generate(system_random),
    )


async def guess(kit: GatewayKit, known: PendingContact, secret: str) -> ErrorCode:
    """Try one secret of 14 characters."""
    psk = typed_psk(secret, activation_id=known.activation_id)
    pending = replace(known, psk=psk, keys=PhoneKeys.generate(system_random))
    return await refusal(kit.phone("Thief")._run(pending, None))


async def test_ten_failures_end_the_typed_form_and_leave_the_screens_code(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    shown = await kit.code(activation)
    known = await found_by_locator(kit, shown["typed"])
    for number in range(10):
        assert await guess(kit, known, f"{number:014d}") is ErrorCode.REFUSED
    assert await guess(kit, known, "9" * 14) is ErrorCode.EXPIRED
    assert await refusal(kit.phone().begin_typed(shown["typed"])) is ErrorCode.EXPIRED
    assert any("typed" in word for word in await audit_words(kit))
    await (await kit.phone().begin_link(shown["link"])).close()
    assert (await kit.activation(activation))["state"] == "present"


async def test_guesses_at_once_do_not_outrun_the_count(kit: GatewayKit) -> None:
    """Forty wrong guesses on forty sockets; the right code, once they have been judged, is dead all the same."""
    activation = (await kit.begin())["activation"]["id"]
    shown = await kit.code(activation)
    known = await found_by_locator(kit, shown["typed"])
    await asyncio.gather(*(guess(kit, known, f"{number:014d}") for number in range(40)))
    assert await refusal(kit.phone().begin_typed(shown["typed"])) is ErrorCode.EXPIRED
    assert (await kit.activation(activation))["state"] == "waiting"


async def test_the_typed_code_right_but_for_one_character_is_refused(kit: GatewayKit) -> None:
    """The check character is for the customer's eyes: the thief computes it. The secret is what counts."""
    activation = (await kit.begin())["activation"]["id"]
    typed = (await kit.code(activation))["typed"].replace("-", "").replace(" ", "")
    known = await found_by_locator(kit, typed)
    secret = typed[5:19]
    for place in (0, 6, 13):
        other = ALPHABET[(ALPHABET.index(secret[place]) + 1) % 32]
        changed = secret[:place] + other + secret[place + 1 :]
        assert await guess(kit, known, changed) is ErrorCode.REFUSED
    await (await kit.phone().begin_typed(typed)).close()


async def test_looking_for_locators_is_limited(tmp_path: Path) -> None:
    """Twenty-five bits alone would be found by asking; the limit is by caller, and comes from the proxy's word for him
    when there is one. An IPv6 caller owns a whole network of addresses, and counts as one."""
    limits = {"guess": RateLimit(10, 60)} | {
        name: RateLimit(1_000_000, 60) for name in ("default", "public", "phone", "start", "stream")
    }
    async with GatewayKit.running(tmp_path, limits=limits, trusted_proxies=["127.0.0.1"]) as kit:

        async def look(caller: str, number: int) -> int:
            headers = {"X-Forwarded-For": caller}
            url = f"{kit.now.url}/phone/v1/typed/{number:05d}"
            async with kit.session.get(url, headers=headers) as answer:
                return answer.status

        from_one = [await look("203.0.113.9", number) for number in range(14)]
        assert from_one == [404] * 10 + [429] * 4
        assert await look("203.0.113.10", 1) == 404, "another caller is not held back"
        from_network = [await look(f"2001:db8:0:1::{number:x}", number) for number in range(1, 15)]
        assert from_network == [404] * 10 + [429] * 4
        assert await look("2001:db8:0:2::1", 1) == 404
        mapped = [await look(f"::ffff:198.51.100.{number}", number) for number in range(1, 13)]
        assert mapped == [404] * 12, "these are different callers, though they look like one network"


async def test_device_codes_are_limited_too(tmp_path: Path) -> None:
    """The three tries are counted in the database; the limit slows whoever burns them, by the page's token or by the
    bank's key and the activation, and takes no try itself. Other customers are not held back."""
    limits = {name: RateLimit(1_000_000, 60) for name in ("default", "public", "phone", "start", "stream")}
    async with GatewayKit.running(tmp_path, limits=limits | {"guess": RateLimit(2, 60)}) as kit:
        for by_page in (True, False):
            started = await kit.begin(user=f"user-{by_page}")
            activation = started["activation"]["id"]
            token = started["page_token"] if by_page else None
            contact = await kit.phone().begin_link((await kit.code(activation))["link"])
            wrong = {"code": f"{(int(contact.device_code) + 1) % 10**8:08d}"}
            path = f"/api/v1/activations/{activation}/confirm"
            for status in (422, 422, 429, 429):
                await kit.call("POST", path, wrong, token=token, status=status)
            assert (await kit.activation(activation))["tries_left"] == 1
            await bind_phone(kit, user=f"other-{by_page}")
            kit.clock.advance(61)
            await kit.call("POST", path, wrong, token=token, status=410)


class BrokenTls(WireNetwork):
    """The thief answers for the gateway's origin: he names his own S, and keeps every hello."""

    def __init__(self, kit: GatewayKit, *, tenant: str | None = None) -> None:
        super().__init__(kit, sent=self._keep)
        self.key = P256().generate()
        self.hellos: list[bytes] = []
        self._tenant = tenant

    def _keep(self, number: int, frame: bytes) -> list[bytes]:
        self.hellos += [frame] if number == 1 else []
        return []

    async def connect(self) -> Any:
        socket = await super().connect()

        async def nothing(timeout: float | None = None) -> bytes:
            raise ConnectionLost("the thief says nothing")

        socket.receive = nothing
        return socket

    async def config(self) -> Config:
        told = await super().config()
        mine = Bytes33(compress(self.key.public))
        names = [self._tenant] if self._tenant else [tenant.id for tenant in told.tenants]
        return msgspec.structs.replace(told, tenants=[TenantConfig(name, name, mine) for name in names])  # type: ignore[arg-type]

    async def find_typed(self, locator: str) -> TypedAnswer:
        found = await super().find_typed(locator)
        return msgspec.structs.replace(found, tenant=self._tenant or found.tenant)

    def confirms(self, secret: str, *, activation_id: bytes, expiry: int) -> bool:
        """Try a secret on a kept hello, at home: nobody counts this."""
        hello = parse_hello(self.hellos[0])
        bank = FirstContactResponder(
            hello.suite,
            prologue=first_contact_prologue(
                hello.suite, host=HOST, activation_id=activation_id, rotation=0xFFFF, expiry=expiry
            ),
            psk=typed_psk(secret, activation_id=activation_id),
            static_public=self.key.public,
        )
        try:
            run_local(bank.read_m1(hello.message), self.key)
        except HandshakeFailed:
            return False
        return True


async def typed_into(phone: PhoneClient, shown: str) -> bool:
    """Whether the phone refused before it sent a hello."""
    try:
        await (await phone.begin_typed(shown)).close()
    except BankKeyChanged as refused:
        assert "scan" in refused.next_step.lower()
        return True
    except ConnectionLost:
        pass
    return False


async def test_whoever_breaks_tls_at_the_very_first_opening_tests_guesses_at_home(kit: GatewayKit) -> None:
    """The control, and the limit that THREAT_MODEL.md admits: S is trusted at first use."""
    activation = (await kit.begin())["activation"]["id"]
    shown = (await kit.code(activation))["typed"]
    thief = BrokenTls(kit)
    assert not await typed_into(phone_over(kit, thief), shown)
    found = await thief.find_typed(shown[:5])
    about: dict[str, Any] = {"activation_id": bytes(found.activation), "expiry": found.expires}
    assert not thief.confirms("0" * 14, **about)
    assert thief.confirms(TypedCode.parse(shown).secret, **about)


@pytest.mark.parametrize("tenant", [None, "ten_0000000000000000000000"])
async def test_whoever_breaks_tls_later_gets_no_hello(kit: GatewayKit, tenant: str | None) -> None:
    """Neither by another S for the bank that the phone knows, nor by a bank that he invents."""
    activation = (await kit.begin())["activation"]["id"]
    shown = (await kit.code(activation))["typed"]
    phone = kit.phone()
    await phone.remember_banks()
    thief = BrokenTls(kit, tenant=tenant)
    assert await typed_into(phone_over(kit, thief, store=phone.store), shown)
    assert thief.hellos == []
    await (await phone.begin_typed(shown)).close()


async def test_a_bank_whose_key_changed_is_known_again_once_scanned(kit: GatewayKit) -> None:
    """A scanned code's S comes from the bank's screen, and the customer confirms that contact there: what the finished
    binding holds is taken for a typed code too, and no other new key is."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    phone.store.put_bank_keys(HOST, {kit.tenant_id: compress(P256().generate().public)})
    activation = (await kit.begin(user="user-2"))["activation"]["id"]
    shown = (await kit.code(activation))["typed"]
    thief = BrokenTls(kit)
    assert await typed_into(phone_over(kit, thief, store=phone.store), shown)
    await (await phone.begin_typed(shown)).close()
    phone.store.drop_binding(channel.binding.binding_id)
    await (await phone.begin_typed(shown)).close()
