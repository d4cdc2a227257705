"""What the customer may type into the demo bank's forms. Each check returns the fields of a request for approval, or
raises the Refusal that names the field to mend."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.demo.customers import RATES
from gateway.demo.ledger import euro_cents
from gateway.demo.wire import text_of, wrong_field

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_OTHER_ACCOUNT = re.compile(r"[0-9A-Z]{4,34}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(?:\.[^\s@.]+)+")
_PHONE = re.compile(r"\+?[0-9](?:[ .-]?[0-9]){5,17}")
LARGEST = Decimal(10) ** 9


def check_payment(body: dict[str, Any], *, available: int) -> dict[str, str]:
    """Return the fields of a payment; `available` cents of EUR can be paid."""
    texts = {name: text_of(body, name) for name in ("payee", "purpose", "currency")}
    if not texts["payee"] or len(texts["payee"]) > 140:
        raise wrong_field("payee")
    account = "".join(text_of(body, "account").upper().split())
    if not _is_account(account):
        raise wrong_field("account")
    value = _amount(text_of(body, "amount"))
    if texts["currency"] not in RATES:
        raise wrong_field("currency")
    if len(texts["purpose"]) > 1_000:
        raise wrong_field("purpose")
    if euro_cents(value, texts["currency"]) > available:
        raise wrong_field("balance")
    return {**texts, "account": account, "amount": f"{value:.2f}"}


def check_contact(body: dict[str, Any], *, kind: str) -> str:
    """Return the new value of a customer's contact data."""
    value = text_of(body, "value")
    form = _EMAIL if kind == "email" else _PHONE
    if len(value) > 256 or form.fullmatch(value) is None:
        raise wrong_field("value")
    return value


def check_message(body: dict[str, Any]) -> dict[str, str]:
    """Return title and body of a message."""
    text = {"title": text_of(body, "title"), "body": text_of(body, "body")}
    for name, longest in (("title", 128), ("body", 2_000)):
        if not 0 < len(text[name]) <= longest:
            raise wrong_field(name)
    return text


def _amount(typed: str) -> Decimal:
    """Return an amount with at most two decimals, typed with a point or a comma; blanks may part its thousands."""
    try:
        value = Decimal("".join(typed.split()).replace(",", "."))
    except InvalidOperation:
        raise wrong_field("amount") from None
    if not value.is_finite() or not 0 < value < LARGEST or value != value.quantize(Decimal("0.01")):
        raise wrong_field("amount")
    return value


def _is_account(text: str) -> bool:
    """Whether this is an IBAN whose check digits are right (ISO 13616, ISO 7064 MOD 97-10), or an account number of a
    country without IBANs."""
    if not re.match(r"[A-Z]{2}[0-9]{2}", text):
        return _OTHER_ACCOUNT.fullmatch(text) is not None
    if _IBAN.fullmatch(text) is None:
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1
