"""What the phone says of an end or a refusal is a sentence; the codes of the protocol stay in the error's members."""

from typing import get_args

import pytest
from click.testing import CliRunner

from gateway.phone.cli import phone
from gateway.phone.errors import ContactEnded, GatewayRefused
from gateway.protocol.errors import ErrorCode
from gateway.protocol.messages import EndReason


@pytest.mark.parametrize("reason", get_args(EndReason))
def test_every_end_has_words(reason: str) -> None:
    error = ContactEnded(reason)
    assert error.reason == reason
    assert not str(error).endswith(f": {reason}")


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_refusal_has_words_and_a_next_step(code: ErrorCode) -> None:
    error = GatewayRefused(code)
    assert error.error is code
    assert not str(error).endswith(f": {code.value}")
    assert error.next_step.endswith(".")


def test_a_suspended_phone_may_be_resumed_by_the_customer_or_by_the_bank() -> None:
    step = GatewayRefused(ErrorCode.SUSPENDED).next_step
    assert "Resume it on the bank's page" in step
    assert "ask the bank" in step


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "two\nlines"])
def test_a_name_that_no_page_could_show_is_wrong_usage(name: str) -> None:
    result = CliRunner().invoke(phone, ["--name", name, "list"])
    assert result.exit_code == 2
    assert "1 to 64 printable characters" in result.output
