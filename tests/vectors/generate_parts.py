"""The parts of tessera-v1.json beside the handshakes: codes, keys, PIN, signatures, frames and messages,
good and bad ones. `generate.py` calls `all_parts`."""

from typing import Any

from generate_approving import approving
from generate_keys import Fixed, FixedKey, scalar, sign_fixed
from generate_messages import wire_messages

from gateway.core.encoding import b64url_encode
from gateway.protocol import keys, oprf, pin
from gateway.protocol.code import ActivationCode, Code2, TypedCode, make_link, seal_code2, show_code2_nonce
from gateway.protocol.errors import ErrorCode
from gateway.protocol.frames import (
    Hello,
    Kind,
    Suite,
    error_frame,
    stale_answer_frame,
    stale_challenge_frame,
)
from gateway.protocol.primitives import P256, wrap_p256

HOST = "bank.example"
EXPIRY = 1_800_000_300


def codes(fixed: Fixed, fixed_key: FixedKey) -> dict[str, Any]:
    """Activation codes, typed codes, code 2."""
    activation_id, seed = fixed("activation codes", 16), fixed("seed codes")
    public = keys.compress(fixed_key("gateway codes").public)
    one_time, activation = [], []
    for n in (0, 1, 2, 65_534):
        otk = keys.one_time_key(seed, activation_id=activation_id, rotation=n)
        names = {"seed": seed.hex(), "activation_id": activation_id.hex(), "rotation": n}
        one_time.append({**names, "otk": otk.hex()})
        payload = ActivationCode(activation_id, otk, public, EXPIRY, n).pack()
        activation.append(
            {
                "activation_id": activation_id.hex(),
                "otk": otk.hex(),
                "gateway_public": public.hex(),
                "expiry": EXPIRY,
                "rotation": n,
                "payload": payload.hex(),
                "host": HOST,
                "link": make_link(HOST, payload),
            }
        )
    times = [(0, 0), (9_999, 0), (10_000, 1), (25_000, 2), (-5, 0), (10_000 * 70_000, 65_534)]
    rotations = [
        {
            "created_ms": 1_800_000_000_000,
            "period_ms": 10_000,
            "now_ms": 1_800_000_000_000 + ms,
            "rotation": n,
        }
        for ms, n in times
    ]
    typed = TypedCode.generate(lambda size: fixed("typed", size))
    shown = typed.show()
    sloppy = shown.lower().replace("-", " ").replace("1", "l").replace("0", "o")
    nonce, binding, label = fixed("code2 nonce", 10), fixed("binding codes", 16), "Compte courant n° 1234"
    second = []
    for text in (label, "", "é" * 40):
        iv, key = fixed(f"iv {text}", 12), fixed("code2 key")
        payload = seal_code2(key, Code2(binding, nonce, text), iv=iv)
        second.append(
            {
                "key": key.hex(),
                "iv": iv.hex(),
                "binding_id": binding.hex(),
                "nonce": nonce.hex(),
                "label": text.encode()[:64].decode("utf-8", "ignore"),
                "payload": payload.hex(),
                "link": make_link(HOST, payload),
                "typed": show_code2_nonce(nonce),
            }
        )
    return {
        "one_time_keys": one_time,
        "rotations": rotations,
        "activation_codes": activation,
        "typed_codes": [
            {
                "typed": shown,
                "also_typed_as": [sloppy, shown.replace("-", "")],
                "locator": typed.locator,
                "secret": typed.secret,
                "activation_id": activation_id.hex(),
                "psk": typed.psk(activation_id).hex(),
                "rotation": keys.TYPED_ROTATION,
            }
        ],
        "second_codes": second,
        "wrong_codes": wrong_codes(activation[0], shown, second[0]),
    }


def wrong_codes(activation: dict[str, Any], typed: str, second: dict[str, Any]) -> dict[str, Any]:
    """What each reader must refuse."""
    payload = bytes.fromhex(activation["payload"])
    sealed = bytes.fromhex(second["payload"])
    fragment = b64url_encode(payload)
    wrong = "2" if typed[0] != "2" else "3"
    mistyped = wrong + typed[1:]
    return {
        "payloads": [
            value.hex()
            for value in (
                b"",
                payload[:-1],
                payload + b"\0",
                b"\x03" + payload[1:],
                payload[:49] + b"\x04" + payload[50:],
                payload[:-2] + b"\xff\xff",
            )
        ],
        "links": [
            "",
            f"http://{HOST}/a#{fragment}",
            f"https://{HOST}/b#{fragment}",
            f"https://user@{HOST}/a#{fragment}",
            f"https://{HOST}/a?x=1#{fragment}",
            f"https://{HOST}/a#{fragment}=",
            f"https://{HOST}/a#{fragment[:-1]}!",
            f"ftp://{HOST}/a#{fragment}",
            f"https:///a#{fragment}",
            f"javascript://{HOST}/a#{fragment}",
        ],
        "foreign_links": [{"own_host": "other.example", "link": activation["link"]}],
        "typed": [
            {"text": mistyped, "error": "mistyped-code"},
            {"text": typed[:-1], "error": "malformed-code"},
            {"text": "U" + typed[1:], "error": "malformed-code"},
            {"text": typed + "0", "error": "malformed-code"},
            {"text": "é" + typed[1:], "error": "malformed-code"},
        ],
        "second_codes": [
            {"what": "another key", "key": "11" * 32, "payload": second["payload"]},
            {
                "what": "a flipped bit",
                "key": second["key"],
                "payload": (sealed[:-1] + bytes((sealed[-1] ^ 1,))).hex(),
            },
            {"what": "cut", "key": second["key"], "payload": sealed[:54].hex()},
            {"what": "another version", "key": second["key"], "payload": (b"\x01" + sealed[1:]).hex()},
            {
                "what": "another binding",
                "key": second["key"],
                "payload": second["payload"],
                "binding_id": "22" * 16,
            },
        ],
    }


def pins(fixed: Fixed, fixed_key: FixedKey) -> dict[str, Any]:
    """From PIN to PIN key through the OPRF, and which PINs are refused."""
    binding, secret, key = fixed("binding pin", 16), fixed("device secret"), fixed_key("oprf")
    chains = []
    for text in ("402857", "718304"):
        data = pin.oprf_input(text, binding_id=binding)
        blind = int.from_bytes(fixed(f"blind {text}"), "big") % (oprf.ORDER - 1) + 1
        blinded = oprf.blind_with(data, blind)
        peers = oprf.evaluation_peers(blinded.element)
        shared = [P256().exchange(key, keys.parse_point(peer)) for peer in peers]
        element = oprf.recover(*shared, key.public)
        output = blinded.finalize(element)
        pair = wrap_p256(pin.pin_key(output, device_secret=secret, binding_id=binding))
        chains.append(
            {
                "pin": text,
                "binding_id": binding.hex(),
                "oprf_input": data.hex(),
                "blind": blind.to_bytes(32, "big").hex(),
                "blinded": blinded.element.hex(),
                "oprf_key": {"private": scalar(key), "public": key.public.hex()},
                "ecdh_peers": [peer.hex() for peer in peers],
                "ecdh_outputs": [value.hex() for value in shared],
                "evaluated": element.hex(),
                "oprf_output": output.hex(),
                "device_secret": secret.hex(),
                "pin_key": {"private": scalar(pair), "public": pair.public.hex()},
            }
        )
    tried = "000000 123456 890123 987654 210987 121212 123123 311299 123199 991231 102030 147258 1234 12a456 402857"
    return {
        "pin_keys": chains,
        "pins": [{"pin": text, "digits": 6, "weak": pin.weakness(text, digits=6)} for text in tried.split()],
        "common_pins": sorted(pin.COMMON),
    }


def signatures(fixed: Fixed, fixed_key: FixedKey) -> list[dict[str, Any]]:
    """Each thing that is signed, with a signature over it."""
    h, key, binding = fixed("h"), fixed_key("signer"), fixed("binding sign", 16)
    short, long, challenge = fixed("nonce 10", 10), fixed("nonce 16", 16), fixed("nonce 32")
    suite = Suite.RESUME_CLASSICAL
    prologue = keys.resume_prologue(suite, host="bank.example", binding_id=binding, index=41)
    hello = Hello(Kind.RESUME, suite, binding, 41, fixed("stale m1") * 4).encode()
    inputs = [
        ("bind", {"handshake_hash": h}, keys.bind_input(h)),
        ("commit", {"handshake_hash": h, "nonce": short}, keys.commit_input(h, short)),
        ("pin-enrol", {"handshake_hash": h}, keys.pin_enrol_input(h)),
        ("pin-enrol", {"handshake_hash": h, "nonce": long}, keys.pin_enrol_input(h, long)),
        ("pin-proof", {"handshake_hash": h, "nonce": long}, keys.pin_proof_input(h, long)),
        (
            "stale",
            {"binding_id": binding, "nonce": challenge, "index": 41, "prologue": prologue, "hello": hello},
            keys.stale_input(binding, index=41, nonce=challenge, prologue=prologue, hello=hello),
        ),
    ]
    return [
        {
            "what": what,
            **{name: value.hex() if isinstance(value, bytes) else value for name, value in members.items()},
            "input": data.hex(),
            "public": key.public.hex(),
            "signature": sign_fixed(key, data).hex(),
        }
        for what, members, data in inputs
    ]


def frames(fixed: Fixed) -> dict[str, Any]:
    """The unauthenticated frames from the gateway and the phone's stale answer."""
    nonce, signature = fixed("stale nonce"), fixed("r") + fixed("s")
    return {
        "errors": [{"code": code.value, "frame": error_frame(code).hex()} for code in ErrorCode],
        "stale_challenge": {"nonce": nonce.hex(), "frame": stale_challenge_frame(nonce).hex()},
        "stale_answer": {"signature": signature.hex(), "frame": stale_answer_frame(signature).hex()},
        "wrong_gateway_frames": [
            "",
            "02",
            "03" + "00" * 31,
            "05" + "00" * 32,
            "7f" + b'{"error":"nonsense"}'.hex(),
            "7f" + b'{"error":"busy","more":1}'.hex(),
            "7f" + b"\xff".hex(),
        ],
    }


def all_parts(fixed: Fixed, fixed_key: FixedKey) -> dict[str, Any]:
    """Return every part beside the handshakes."""
    shown = [bytes(32), b"\xff" * 32, fixed("device code")]
    return {
        **codes(fixed, fixed_key),
        "device_codes": [{"export": key.hex(), "code": keys.device_code(key)} for key in shown],
        **pins(fixed, fixed_key),
        "signatures": signatures(fixed, fixed_key),
        "frames": frames(fixed),
        "messages": wire_messages(fixed),
        **approving(fixed, fixed_key),
    }
