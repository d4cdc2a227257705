"""How `tessera phone` shows what a bank asks and writes. A statement holds nothing that a reader does not see, by its
form; other texts of the bank pass through `plain`, so that none of them moves a terminal's cursor."""

import unicodedata
from datetime import UTC, datetime

from gateway.phone.asks import PastApproval
from gateway.protocol.approval import (
    ContactFields,
    DeviceFields,
    FreeFields,
    LoginFields,
    PaymentFields,
    Statement,
)
from gateway.protocol.messages import ApprovalEnd

TOO_OLD = "(of a kind that this client is too old to show)"
_LABEL = 10
_CONTACTS = {"email": "e-mail address", "phone": "telephone number", "address": "postal address"}
_JOINERS = "\u200c\u200d"


def show_statement(statement: Statement) -> str:
    """Return everything that a statement says, each text as it was sent and the amount in groups of three digits."""
    heading, rows = _rows(statement)
    lines = [f"  {heading}"]
    for label, text in rows:
        first, *more = text.split("\n")
        lines.append(f"  {label:<{_LABEL}}{first}".rstrip())
        lines += [f"  {'':<{_LABEL}}{line}".rstrip() for line in more]
    return "\n".join(lines)


def summarise(statement: Statement | None) -> str:
    """Return one line that tells a statement from others."""
    if statement is None:
        return TOO_OLD
    match statement.fields:
        case LoginFields(browser=browser):
            return f"login, {browser}" if browser else "login"
        case PaymentFields(amount=amount, currency=currency, payee=payee):
            return f"payment, {group_amount(amount)} {currency} to {payee}"
        case ContactFields(kind=kind, value=value):
            return f"new {_CONTACTS[kind]}, {value}"
        case FreeFields(title=title):
            return title
        case DeviceFields(mode=mode):
            return "further phone" if mode == "add" else "phone in place of this one"


def show_past(item: PastApproval) -> str:
    """Return the line of a past request."""
    where = " here" if item.here else ""
    return f"{show_time(item.at)}  {item.state}{where}  {summarise(item.statement)}"


def group_amount(amount: str) -> str:
    """Return decimal text with commas between groups of three digits; every decimal stays as it is."""
    whole, dot, decimals = amount.partition(".")
    return f"{int(whole):,}{dot}{decimals}"


def show_time(seconds: float) -> str:
    """Return a date and a time of day."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def plain(text: str) -> str:
    """Return a text without what a terminal would obey and a reader would not see; line breaks stay."""
    kept = ("\n", *_JOINERS)
    return "".join(
        "\ufffd" if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") and each not in kept else each
        for each in text
    )


def describe_end(state: ApprovalEnd) -> str:
    """Return what to say of the person's own answer."""
    return {
        "approved": "Approved.",
        "refused": "Refused.",
        "reported": "Reported: your bank knows that it was not you. If you need it at once, call your bank.",
    }[state]


def _rows(statement: Statement) -> tuple[str, list[tuple[str, str]]]:
    match statement.fields:
        case LoginFields(browser=browser, place=place):
            return "Login to the bank's pages", _desktop(browser, place)
        case PaymentFields() as payment:
            amount = f"{group_amount(payment.amount)} {payment.currency}"
            rows = [("Amount", amount), ("To", payment.payee), ("Account", payment.account)]
            return "Payment", rows + ([("Purpose", payment.purpose)] if payment.purpose else [])
        case ContactFields(kind=kind, value=value, previous=previous):
            rows = [("New", value), ("Until now", previous or "(none)")]
            return f"Change of your {_CONTACTS[kind]}", rows
        case FreeFields(title=title, text=text):
            return title, [("", text)]
        case DeviceFields(mode=mode, browser=browser, place=place):
            heading = (
                "A further phone for your account"
                if mode == "add"
                else "A new phone in place of this one, which ends here"
            )
            return heading, _desktop(browser, place)


def _desktop(browser: str, place: str) -> list[tuple[str, str]]:
    return [("Browser", browser or "(not known)"), ("Place", place or "(not known)")]
