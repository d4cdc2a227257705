"""One-time codes of the OATH algorithms: HOTP (RFC 4226) and TOTP (RFC 6238), from an HMAC that was computed elsewhere,
in the key store's module where policy asks for it. Counting, windows and tries are the caller's."""

from hmac import compare_digest

MIN_DIGITS, MAX_DIGITS = 6, 10


def counter_message(counter: int) -> bytes:
    """Return what the HMAC of a counter, or of a time step, is over: u64 (RFC 4226 section 5.2). Raises ValueError."""
    if not 0 <= counter < 2**64:
        raise ValueError("a counter has 8 bytes")
    return counter.to_bytes(8, "big")


def time_step(at_s: float, *, step_s: int = 30) -> int:
    """Return the time step of a time in Unix seconds (RFC 6238 section 4.2, T0 = 0). Raises ValueError."""
    if at_s < 0 or step_s < 1:
        raise ValueError("times are after 1970, steps of 1 s or more")
    return int(at_s) // step_s


def truncate(mac: bytes) -> int:
    """Dynamic truncation of an HMAC of 20, 32 or 64 bytes: 31 bits (RFC 4226 section 5.3)."""
    place = mac[-1] & 15
    return int.from_bytes(mac[place : place + 4], "big") & 0x7FFFFFFF


def code_of(mac: bytes, *, digits: int = 6) -> str:
    """Return the code of an HMAC, 6 to 10 digits (RFC 4226 section 5.3). Raises ValueError."""
    if not MIN_DIGITS <= digits <= MAX_DIGITS:
        raise ValueError(f"codes have {MIN_DIGITS} to {MAX_DIGITS} digits")
    return f"{truncate(mac) % 10**digits:0{digits}d}"


def matching(code: str, macs: list[bytes]) -> int | None:
    """Return the place of the first HMAC whose code this is, None when it is none of theirs. All are compared, each in
    constant time, so that the time tells nothing of the place."""
    found = None
    given = code.encode("utf-8", "replace")
    for place, mac in enumerate(macs):
        is_it = compare_digest(code_of(mac, digits=len(code)).encode(), given)
        if is_it and found is None:
            found = place
    return found
