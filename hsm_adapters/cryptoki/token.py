"""One token of a module, found by its key URI, with the user logged in. Workers ask it for sessions. A PIN that a token
refused is not sent again in this process, by whatever adapter, until its source gives another: tokens lock soon."""

import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import CryptokiError
from hsm_adapters.cryptoki.faults import explain_login
from hsm_adapters.cryptoki.module import PAUSE_S, Module
from hsm_adapters.cryptoki.structures import TokenInfo
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    PinLocked,
    PinRefused,
    TokenNotPresent,
)
from hsm_adapters.sources import read_pin_now

VAGUE_PAUSE_S, VAGUE_LONGEST_S = 2.0, 600.0
"""A login that failed without a word on the PIN is tried again after this time, doubled each time, up to ten minutes:
it may have cost a try."""

_PEPPER = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Which token a key URI means: attributes of RFC 7512 section 2.3, as far as the URI gives them."""

    wanted: Mapping[str, str]

    def pick(self, tokens: list[TokenInfo]) -> TokenInfo:
        """Return the one token that matches. Raises `TokenNotPresent`, `HsmConfigurationError`."""
        found = [token for token in tokens if self._matches(token)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(repr(token.label) for token in tokens if token.label) or "none"
        if not found:
            hint = (
                "Check the module's own settings (SoftHSM: SOFTHSM2_CONF)."
                if there == "none"
                else "See token=."
            )
            raise TokenNotPresent(f"No token matches the key URI. Present: {there}. {hint}")
        raise HsmConfigurationError(
            f"{len(found)} tokens match the key URI: add token=, serial= or slot-id=. Present: {there}."
        )

    def _matches(self, token: TokenInfo) -> bool:
        facts = {
            "token": token.label,
            "serial": token.serial,
            "model": token.model,
            "manufacturer": token.manufacturer,
            "slot-id": str(token.slot),
        }
        is_ready = token.flags & ck.CKF_TOKEN_INITIALIZED
        return bool(is_ready) and all(facts.get(name, value) == value for name, value in self.wanted.items())


class Pin:
    """Where the PIN comes from. Read anew at each login, so that a changed file is taken up; what came from a terminal
    is kept."""

    def __init__(self, source: str | None) -> None:
        self._source = source
        self._kept: bytes | None = None

    @property
    def is_given(self) -> bool:
        """Whether the key URI names a source."""
        return self._source is not None

    def ask(self) -> None:
        """Ask a person, where that is the source. Blocks for as long as it takes. Raises as `read`."""
        if self._source is not None and self._source.startswith("prompt:"):
            self.read()

    def read(self) -> bytes:
        """Return the PIN. Blocks. Raises `HsmConfigurationError`, `InvalidKeyUri`."""
        if self._source is None:
            raise HsmConfigurationError(
                "The token wants a PIN: add pin-source=file:PATH or pin-source=env:NAME to the key URI."
            )
        if self._kept is not None:
            return self._kept
        pin = read_pin_now(self._source)
        if self._source.startswith("prompt:"):
            self._kept = pin
        return pin


class _Logins:
    """What this process knows of PINs that tokens did not take. One login at a time, whoever asks, so that a wrong PIN
    is sent once."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.refused: set[bytes] = set()
        self.vague: dict[bytes, tuple[float, float]] = {}
        """By PIN: when it may be tried again, and the pause after that."""

    def check(self, mark: bytes, token: TokenInfo) -> None:
        """Raise unless this PIN may be sent to the token now."""
        if mark in self.refused:
            raise PinRefused(
                "The token refused this PIN before. It is not tried again: put the right one into pin-source."
            )
        if token.flags & ck.CKF_USER_PIN_LOCKED:
            raise PinLocked(
                "The token is locked after too many wrong PINs. Have its security officer unlock it."
            )
        if token.flags & ck.CKF_USER_PIN_FINAL_TRY:
            raise PinLocked(
                "The token has one try for its PIN left, which is not spent here. Log in once with the maker's tool."
            )
        again_at, _ = self.vague.get(mark, (0.0, 0.0))
        if time.monotonic() < again_at:
            raise HsmUnavailable("The token failed at the login. It is tried again in a while.")

    def note(self, mark: bytes, value: int) -> None:
        """Remember how a login ended (CK_RV)."""
        if value in (ck.CKR_PIN_INCORRECT, ck.CKR_PIN_INVALID, ck.CKR_PIN_LEN_RANGE):
            self.refused.add(mark)
        elif value in (ck.CKR_GENERAL_ERROR, ck.CKR_FUNCTION_FAILED):
            _, pause = self.vague.get(mark, (0.0, VAGUE_PAUSE_S))
            self.vague[mark] = (time.monotonic() + pause, min(2 * pause, VAGUE_LONGEST_S))
        elif value in (ck.CKR_OK, ck.CKR_USER_ALREADY_LOGGED_IN):
            self.vague.pop(mark, None)


@dataclass(frozen=True, slots=True)
class _Entered:
    """A login: the epoch and slot that it holds in, and the session that keeps it."""

    epoch: int
    slot: int
    anchor: int


class Token:
    """The token of one adapter."""

    _logins: ClassVar[_Logins] = _Logins()

    def __init__(self, module: Module, choice: TokenChoice, pin: Pin) -> None:
        self.module = module
        self._choice = choice
        self._pin = pin
        self._entering = threading.Lock()
        self._entered: _Entered | None = None
        self._failed: tuple[float, int, type[HsmError], str] | None = None

    def open_session(self) -> tuple[int, int]:
        """Return a fresh session and the epoch it belongs to, the user logged in. Raises `HsmError`,
        `CryptokiError`."""
        with self._entering:
            entered = self._enter()
            if not self._stands(entered.anchor):
                # The token was away for a moment, or dropped every session: its login went with them.
                with suppress(CryptokiError):
                    self.module.cryptoki.close_session(entered.anchor)
                self._entered = None
                entered = self._enter()
            return self.module.cryptoki.open_session(entered.slot), entered.epoch

    def slot(self) -> int:
        """Return the slot that the token was found in. Raises as `open_session`."""
        with self._entering:
            return self._enter().slot

    def close(self) -> None:
        """Close the session that keeps the login."""
        with self._entering:
            entered, self._entered = self._entered, None
            if entered is not None and entered.epoch == self.module.epoch:
                with suppress(CryptokiError):
                    self.module.cryptoki.close_session(entered.anchor)

    def _stands(self, anchor: int) -> bool:
        try:
            state = self.module.cryptoki.session_state(anchor)
        except CryptokiError:
            return False
        return state == ck.CKS_RW_USER_FUNCTIONS or not self._pin.is_given

    def _enter(self) -> _Entered:
        epoch = self.module.epoch
        if self._entered is not None and self._entered.epoch == epoch:
            return self._entered
        if self._failed is not None and self._failed[1] == epoch and time.monotonic() < self._failed[0]:
            raise self._failed[2](self._failed[3])
        cryptoki = self.module.cryptoki
        try:
            token = self._choice.pick(cryptoki.tokens())
            session = cryptoki.open_session(token.slot)
            try:
                self._log_in(session, token)
            except BaseException:
                with suppress(CryptokiError):
                    cryptoki.close_session(session)
                raise
        except HsmError as error:
            self._failed = (time.monotonic() + PAUSE_S, epoch, type(error), str(error))
            raise
        self._failed = None
        self._entered = _Entered(epoch, token.slot, session)
        return self._entered

    def _log_in(self, session: int, token: TokenInfo) -> None:
        if not token.flags & ck.CKF_LOGIN_REQUIRED and not self._pin.is_given:
            return
        logins = self._logins
        with logins.turn:
            pin = self._pin.read()
            mark = _mark(pin, token)
            try:
                logins.check(mark, token)
                value = self.module.cryptoki.try_login(session, pin)
            finally:
                del pin  # a traceback keeps the locals of its frames
            logins.note(mark, value)
        if value in (ck.CKR_OK, ck.CKR_USER_ALREADY_LOGGED_IN):
            return
        raise explain_login(CryptokiError("C_Login", value))


def _mark(pin: bytes, token: TokenInfo) -> bytes:
    """Return what stands for a PIN of a token in this process's memory."""
    owner = hashlib.sha256(f"{token.serial}\0{token.label}".encode()).digest()
    return hashlib.blake2b(pin, key=_PEPPER, salt=owner[:16]).digest()
