"""The parts of tessera-v1.json about approving: statements, what is signed, codes without a network and their answers,
good and bad ones. `generate_parts.py` calls `approving`."""

import json
from typing import Any

from generate_keys import Fixed, FixedKey, sign_fixed

from gateway.protocol import approval, offline, pin
from gateway.protocol.approval import (
    ContactFields,
    DeviceFields,
    Fields,
    FreeFields,
    LoginFields,
    PaymentFields,
)
from gateway.protocol.code import make_link
from gateway.protocol.offline import OfflineKeys

HOST = "bank.example"
CREATED = 1_800_000_000
PAYMENT = PaymentFields(
    amount="1250.00",
    currency="EUR",
    payee="Société « Les Frères » \\ Müller",
    account="FR76 3000 6000 0112 3456 7890 189",
    purpose='Invoice 2026/117\nsecond "half"',
)
STATEMENTS: tuple[tuple[str, Fields], ...] = (
    ("login", LoginFields(browser="Firefox 149, Debian", place="Lyon, France")),
    ("login, nothing known", LoginFields(browser="", place="")),
    ("payment", PAYMENT),
    (
        "payment, longest amount",
        PaymentFields(
            amount="999999999999999.999", currency="KWD", payee="😀" * 140, account="x", purpose=""
        ),
    ),
    (
        "payment, least amount",
        PaymentFields(amount="0.01", currency="EUR", payee="y", account="x", purpose="\n"),
    ),
    ("contact", ContactFields(kind="email", value="new@bank.example", previous="old@bank.example")),
    ("free", FreeFields(title="Conditions générales", text="I accept them.\n\nAll of them.")),
    ("free, longest text", FreeFields(title="t" * 128, text="é" * 2_000)),
    ("free, joined letters", FreeFields(title="می‌خواهم", text="👩‍👧 नमस्ते")),
    ("device", DeviceFields(mode="move", browser="Firefox 149, Debian", place="")),
)


def statement(fixed: Fixed, name: str, fields: Fields) -> bytes:
    """Return a statement with everything fixed."""
    return approval.make_statement(
        fields,
        id=fixed(f"statement id {name}", 16),
        bank="Example Bank",
        user="alice",
        created=CREATED,
        expires=CREATED + 60,
        nonce=fixed(f"statement nonce {name}", 16),
    )


def statements(fixed: Fixed) -> list[dict[str, Any]]:
    """One statement of each type, and those at the limits."""
    found = []
    for name, fields in STATEMENTS:
        data = statement(fixed, name, fields)
        found.append({"what": name, "bytes": data.hex(), "members": json.loads(data)})
    return found


def _canonical(members: dict[str, Any]) -> bytes:
    return json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def wrong_statements(fixed: Fixed) -> list[dict[str, Any]]:
    """What no reader may take: other spellings, other members, and texts that do not show what they hold."""
    good = statement(fixed, "payment", PAYMENT)
    members = json.loads(good)

    def changed(**values: Any) -> bytes:
        return _canonical({**members, **values})

    def paying(**values: Any) -> bytes:
        return changed(fields={**members["fields"], **values})

    def without(name: str) -> bytes:
        return _canonical({key: value for key, value in members.items() if key != name})

    login, free = {"browser": "b", "place": "p"}, {"title": "t", "text": "x"}
    cases = {
        "empty": b"",
        "not JSON": b"{",
        "not an object": b"[]",
        "not UTF-8": good[:-1] + b"\xff}",
        "a space between members": good.replace(b',"created"', b', "created"'),
        "a line feed behind": good + b"\n",
        "members in another order": json.dumps(
            dict(reversed(members.items())), ensure_ascii=False, separators=(",", ":")
        ).encode(),
        "a member twice": good[:-1] + b',"v":1}',
        "an escape that is not needed": good.replace("é".encode(), b"\\u00e9", 1),
        "a slash escaped": good.replace(b"2026/117", b"2026\\/117"),
        "a line feed as u000a": good.replace(b"\\n", b"\\u000a"),
        "a lone surrogate": good.replace(b"1250.00", b"\\ud800"),
        "an integer with a point": good.replace(b"1800000000", b"1800000000.0"),
        "an integer with an exponent": good.replace(b"1800000000", b"18e8"),
        "an integer below zero": changed(created=-1),
        "an integer too large": changed(created=2**53),
        "a number as text": changed(created="1800000000"),
        "another version": changed(v=2),
        "version as boolean": changed(v=True),
        "an unknown type": changed(type="gift"),
        "the fields of another type": changed(type="login"),
        "an unknown member": changed(more=1),
        "an unknown field": paying(more="x"),
        "fields as text": changed(fields="x"),
        "fields as null": changed(fields=None),
        "no version": without("v"),
        "no bank": without("bank"),
        "no nonce": without("nonce"),
        "no fields": without("fields"),
        "an id of 15 bytes": changed(id=members["id"][:20]),
        "an id with stray bits": changed(id="AAAAAAAAAAAAAAAAAAAAAB"),
        "bank of 65 characters": changed(bank="x" * 65),
        "user of 129 characters": changed(user="x" * 129),
        "bank with a line feed": changed(bank="a\nb"),
        "amount of zero": paying(amount="0.00"),
        "amount with a sign": paying(amount="-1"),
        "amount with a comma": paying(amount="1,50"),
        "amount with a leading zero": paying(amount="01"),
        "amount with no digit in front": paying(amount=".5"),
        "amount with no digit behind": paying(amount="5."),
        "amount with four decimals": paying(amount="1.0000"),
        "amount of 16 digits": paying(amount="1" * 16),
        "amount with a line feed behind": paying(amount="1\n"),
        "amount in other digits": paying(amount="١"),
        "amount as a number": paying(amount=1250),
        "currency in lower case": paying(currency="eur"),
        "currency of four letters": paying(currency="EURO"),
        "no payee": paying(payee=""),
        "payee of spaces": paying(payee=" \u00a0\u3000"),
        "payee of 141 characters": paying(payee="x" * 141),
        "payee with a line feed": paying(payee="a\nb"),
        "account of 65 characters": paying(account="x" * 65),
        "purpose of 1,001 characters": paying(purpose="x" * 1_001),
        "a tab in the purpose": paying(purpose="a\tb"),
        "text of line feeds": changed(type="free", fields={**free, "text": "\n\n"}),
        "text of 2,001 characters": changed(type="free", fields={**free, "text": "x" * 2_001}),
        "no title": changed(type="free", fields={**free, "title": ""}),
        "browser of 129 characters": changed(type="login", fields={**login, "browser": "x" * 129}),
        "place is missing": changed(type="login", fields={"browser": "b"}),
        "another mode": changed(type="device", fields={**login, "mode": "copy"}),
        "another kind": changed(type="contact", fields={"kind": "fax", "value": "1", "previous": ""}),
        "no value": changed(type="contact", fields={"kind": "email", "value": "", "previous": ""}),
        "too long": good + b" " * (8_193 - len(good)),
        "nested too deep": b'{"fields":' * 60,
    }
    hidden = (
        "\0 \x1f \x7f \x85 \xad \u061c \u180e \u200b \u200e \u200f \u2028 \u2029 \u202a \u202e \u2060 \u2066 \u2069 "
        "\u206f \ufeff \ufff9 \U000e0041"
    )
    for character in hidden.split(" "):
        cases[f"U+{ord(character):04X} in the payee"] = paying(payee=f"a{character}b")
    return [{"what": what, "bytes": data.hex()} for what, data in cases.items()]


def answers(fixed: Fixed, fixed_key: FixedKey) -> list[dict[str, Any]]:
    """What is signed to answer, for each decision and factor."""
    key, pin_key = fixed_key("answer signer"), fixed_key("answer pin key")
    binding, h, nonce = fixed("binding answer", 16), fixed("h answer"), fixed("nonce answer", 16)
    found = []
    for name, decision, factor, number in (
        ("login", "approve", "pin", 47),
        ("login", "approve", "biometric", 10),
        ("login", "report", "possession", None),
        ("payment", "approve", "pin", None),
        ("payment", "approve", "biometric", None),
        ("free", "approve", "possession", 99),
        ("contact", "refuse", "possession", None),
    ):
        data = statement(fixed, name, dict(STATEMENTS)[name])
        signed = approval.answer_input(
            data,
            decision=decision,  # type: ignore[arg-type]
            factor=factor,  # type: ignore[arg-type]
            number=number,
            binding_id=binding,
            handshake_hash=h,
        )
        pin_signed = approval.pin_input(signed, handshake_hash=h, nonce=nonce)
        found.append(
            {
                "statement": data.hex(),
                "decision": decision,
                "factor": factor,
                "number": number,
                "binding_id": binding.hex(),
                "handshake_hash": h.hex(),
                "input": signed.hex(),
                "public": key.public.hex(),
                "signature": sign_fixed(key, signed).hex(),
                "nonce": nonce.hex(),
                "pin_input": pin_signed.hex(),
                "pin_public": pin_key.public.hex(),
                "pin_signature": sign_fixed(pin_key, pin_signed).hex(),
                "biometric_challenge": approval.biometric_challenge(signed).hex(),
            }
        )
    return found


def offline_codes(fixed: Fixed) -> dict[str, Any]:
    """Codes for a phone without a network, with one index and with two."""
    binding = fixed("binding offline", 16)
    keys = [
        offline.derive_offline_keys(fixed(f"bpsk {index}"), binding_id=binding, index=index)
        for index in (41, 42)
    ]
    codes = []
    for name, held in (("payment", keys[:1]), ("payment", keys), ("login", keys[1:])):
        data = statement(fixed, name, dict(STATEMENTS)[name])
        drawn = {16: fixed("content key", 16), 12: fixed(f"iv {name} {len(held)}", 12)}
        payload = offline.seal_offline(data, binding_id=binding, keys=held, random=drawn.__getitem__)
        codes.append(
            {
                "binding_id": binding.hex(),
                "keys": [_keys(each, fixed(f"bpsk {each.index}")) for each in held],
                "statement": data.hex(),
                "content_key": drawn[16].hex(),
                "iv": drawn[12].hex(),
                "hint": offline.offline_hint(binding).hex(),
                "payload": payload.hex(),
                "link": make_link(HOST, payload),
            }
        )
    return {"offline_codes": codes, "wrong_offline_codes": _wrong_codes(fixed, codes)}


def _keys(keys: OfflineKeys, psk: bytes) -> dict[str, Any]:
    return {
        "index": keys.index,
        "psk": psk.hex(),
        "seal_key": keys.seal_key.hex(),
        "answer_key": keys.answer_key.hex(),
    }


def _wrong_codes(fixed: Fixed, codes: list[dict[str, Any]]) -> dict[str, Any]:
    one, two = bytes.fromhex(codes[0]["payload"]), bytes.fromhex(codes[1]["payload"])
    malformed = {
        "empty": b"",
        "another version": b"\x04" + one[1:],
        "no slot": one[:17] + b"\x00" + one[18:],
        "three slots": two[:17] + b"\x03" + two[18:],
        "cut in the slot": one[:53],
        "no statement": one[:70],
        "a statement too long": one + bytes(700),
        "the same index twice": two[:54] + two[18:22] + two[58:],
    }
    key = codes[0]["keys"][0]
    opening = {"binding_id": codes[0]["binding_id"], "index": key["index"], "seal_key": key["seal_key"]}
    flipped = [
        {"what": f"a bit flipped in byte {at}", **opening, "payload": _flip(one, at)}
        for at in (5, 16, 22, 37, 53, 54, len(one) - 17, len(one) - 1)
    ]
    return {
        "malformed": [{"what": what, "payload": data.hex()} for what, data in malformed.items()],
        "unopened": [
            *flipped,
            {"what": "another key", **opening, "seal_key": fixed("other").hex(), "payload": one.hex()},
            {"what": "another binding", **opening, "binding_id": "22" * 16, "payload": one.hex()},
            {"what": "another index", **opening, "index": 43, "payload": one.hex()},
        ],
    }


def _flip(data: bytes, at: int) -> str:
    return (data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]).hex()


def offline_answers(fixed: Fixed) -> dict[str, Any]:
    """The PIN's verifier, the eight digits, and what the gateway makes of them."""
    binding, secret = fixed("binding offline", 16), fixed("device secret")
    keys = [
        offline.derive_offline_keys(fixed(f"bpsk {index}"), binding_id=binding, index=index)
        for index in (41, 42)
    ]
    data = statement(fixed, "payment", PAYMENT)
    made = []
    for text, counter, held in (
        ("402857", 0, keys[0]),
        ("402857", 1, keys[0]),
        ("402857", 199, keys[1]),
        ("718304", 2**40, keys[0]),
    ):
        verifier = pin.offline_verifier(secret, binding_id=binding, pin=text)
        answer = offline.offline_answer(data, answer_key=held.answer_key, counter=counter, verifier=verifier)
        made.append(
            {
                "device_secret": secret.hex(),
                "binding_id": binding.hex(),
                "pin": text,
                "verifier": verifier.hex(),
                "answer_key": held.answer_key.hex(),
                "counter": counter,
                "statement": data.hex(),
                "answer": answer,
            }
        )
    return {"offline_answers": made}


OCRA_SUITES = {
    "suites": [
        "OCRA-1:HOTP-SHA256-6:C-QH64-PSHA256",
        "OCRA-1:HOTP-SHA512-0:QA04",
        "OCRA-1:HOTP-SHA1-10:C-QN64-PSHA512-S512-T48H",
        "OCRA-1:HOTP-SHA1-4:QA10-S001-T59S",
    ],
    "wrong": [
        "",
        "OCRA-2:HOTP-SHA1-6:QN08",
        "OCRA-1:TOTP-SHA1-6:QN08",
        "ocra-1:hotp-sha1-6:qn08",
        "OCRA-1:HOTP-SHA3-6:QN08",
        "OCRA-1:HOTP-SHA1-3:QN08",
        "OCRA-1:HOTP-SHA1-11:QN08",
        "OCRA-1:HOTP-SHA1-06:QN08",
        "OCRA-1:HOTP-SHA1-6:QN03",
        "OCRA-1:HOTP-SHA1-6:QN65",
        "OCRA-1:HOTP-SHA1-6:QN8",
        "OCRA-1:HOTP-SHA1-6:QX08",
        "OCRA-1:HOTP-SHA1-6:Q",
        "OCRA-1:HOTP-SHA1-6:C",
        "OCRA-1:HOTP-SHA1-6:QN08-C",
        "OCRA-1:HOTP-SHA1-6:QN08-P",
        "OCRA-1:HOTP-SHA1-6:QN08-PSHA3",
        "OCRA-1:HOTP-SHA1-6:QN08-S000",
        "OCRA-1:HOTP-SHA1-6:QN08-S513",
        "OCRA-1:HOTP-SHA1-6:QN08-S64",
        "OCRA-1:HOTP-SHA1-6:QN08-T0M",
        "OCRA-1:HOTP-SHA1-6:QN08-T60M",
        "OCRA-1:HOTP-SHA1-6:QN08-T49H",
        "OCRA-1:HOTP-SHA1-6:QN08-T01M",
        "OCRA-1:HOTP-SHA1-6:QN08-T1D",
        "OCRA-1:HOTP-SHA1-6:QN08-T1M-PSHA1",
        "OCRA-1:HOTP-SHA1-6:QN08\n",
        " OCRA-1:HOTP-SHA1-6:QN08",
        "OCRA-1:HOTP-SHA1-6:QN08:QN08",
    ],
}


def approving(fixed: Fixed, fixed_key: FixedKey) -> dict[str, Any]:
    """Return every part about approving."""
    return {
        "statements": statements(fixed),
        "wrong_statements": wrong_statements(fixed),
        "answers": answers(fixed, fixed_key),
        **offline_codes(fixed),
        **offline_answers(fixed),
        "ocra_suites": OCRA_SUITES,
    }
