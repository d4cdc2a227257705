"""Modules and tokens. A process initialises a module once, however many adapters use it, and initialises it again
when it fails as a whole: its epoch moves on then, and whoever holds a handle of an earlier epoch gets another
before its next call. No thread may be inside the module at that moment, so each worker holds its own lock during a
call, and whoever initialises takes them all."""

import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import ClassVar

from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError, TokenInfo
from hsm_adapters.cryptoki.faults import explain, explain_login
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    PinLocked,
    PinRefused,
    TokenNotPresent,
)
from hsm_adapters.sources import read_secret_now, strip_line_ending

PAUSE_S = 1.0
"""A module is initialised again at most once in this time, and a token that was not there or refused the login is asked
again after it; calls in between fail at once."""

QUIET_S = 5.0
"""How long to wait for calls that are still inside a module before it is initialised again."""

_PIN_PEPPER = secrets.token_bytes(32)


class Module:
    """One loaded module. Get it by `Module.acquire`, let it go by `release`."""

    _loaded: ClassVar[dict[str, "Module"]] = {}
    _loading: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str, text: str | None) -> None:
        try:
            self.cryptoki = Cryptoki(path)
        except (OSError, AttributeError):
            raise HsmConfigurationError(
                f"{path} cannot be loaded as a PKCS#11 module. Check module-path, that the file is there, may be read "
                "and was built for this machine."
            ) from None
        except CryptokiError as error:
            raise explain(error) from None
        self._path = path
        self._text = text
        self._users = 0
        self._changing = threading.Lock()
        self._callers: set[threading.Lock] = set()
        self._failed: HsmError = HsmUnavailable("The HSM does not answer.")
        self._next_restart = 0.0
        self.epoch = 0

    @classmethod
    def acquire(cls, path: str, text: str | None) -> "Module":
        """Return the module of that path, loaded and initialised. Raises `HsmConfigurationError`, `HsmUnavailable`."""
        with cls._loading:
            module = cls._loaded.get(path)
            if module is None:
                module = cls(path, text)
                module._initialize()
                cls._loaded[path] = module
            elif module._text != text:
                raise HsmConfigurationError("Two key URIs open one module with different x-init-args.")
            module._users += 1
            return module

    def release(self) -> None:
        """Let go of the module; the last user finalises it."""
        with self._loading:
            self._users -= 1
            if not self._users:
                self._loaded.pop(self._path, None)
                with suppress(CryptokiError):
                    self.cryptoki.finalize()

    def join(self, caller: threading.Lock) -> None:
        """Have `caller` be one of the locks that are taken before the module is initialised again."""
        with self._changing:
            self._callers.add(caller)

    def leave(self, caller: threading.Lock) -> None:
        """Forget a caller's lock."""
        with self._changing:
            self._callers.discard(caller)

    def restart(self, seen: int) -> None:
        """Finalise and initialise the module, unless that happened since epoch `seen`. The caller holds none of the
        locks. Raises `HsmUnavailable`: at most once in `PAUSE_S` it tries anew."""
        with self._changing:
            if self.epoch != seen:
                return
            if time.monotonic() < self._next_restart:
                raise self._failed
            self._failed = HsmUnavailable(
                "The HSM fails again, a moment after it was there. It is tried again soon."
            )
            try:
                with ExitStack() as stack:
                    self._quiesce(stack)
                    with suppress(CryptokiError):
                        self.cryptoki.finalize()
                    # What was opened before is void from here on, whether or not the module comes back.
                    self._initialize()
                    self.epoch += 1
            except HsmError as error:
                self._failed = error
                raise
            finally:
                self._next_restart = time.monotonic() + PAUSE_S

    def _quiesce(self, stack: ExitStack) -> None:
        end = time.monotonic() + QUIET_S
        for caller in self._callers:
            if not caller.acquire(timeout=max(0.0, end - time.monotonic())):
                raise HsmUnavailable(
                    "The HSM has not answered an earlier call. The gateway goes on when it does."
                )
            stack.callback(caller.release)

    def _initialize(self) -> None:
        try:
            self.cryptoki.initialize(self._text)
        except CryptokiError as error:
            if error.value != ck.CKR_CRYPTOKI_ALREADY_INITIALIZED:
                raise explain(error) from None


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
        has_any = token.flags & ck.CKF_TOKEN_INITIALIZED
        return bool(has_any) and all(facts.get(name, value) == value for name, value in self.wanted.items())


class Token:
    """One token of a module, with the user logged in. Workers ask it for sessions."""

    _refused: ClassVar[set[bytes]] = set()

    def __init__(self, module: Module, choice: TokenChoice, pin: "Pin") -> None:
        self.module = module
        self._choice = choice
        self._pin = pin
        self._entering = threading.Lock()
        self._entered: tuple[int, int, int] | None = None  # epoch, slot, the session that keeps the login
        self._failed: tuple[float, int, HsmError] | None = None

    def open_session(self) -> tuple[int, int]:
        """Return a fresh session and the epoch it belongs to, the user logged in. Raises `HsmError`,
        `CryptokiError`."""
        with self._entering:
            epoch, slot, anchor = self._enter()
            if not self._stands(anchor):
                # The token was away for a moment, or dropped every session: its login went with them.
                with suppress(CryptokiError):
                    self.module.cryptoki.close_session(anchor)
                self._entered = None
                epoch, slot, _ = self._enter()
            return self.module.cryptoki.open_session(slot), epoch

    @property
    def slot(self) -> int:
        """The slot that the token was found in. Raises as `open_session`."""
        with self._entering:
            return self._enter()[1]

    def close(self) -> None:
        """Close the session that keeps the login."""
        with self._entering:
            if self._entered is not None and self._entered[0] == self.module.epoch:
                with suppress(CryptokiError):
                    self.module.cryptoki.close_session(self._entered[2])
            self._entered = None

    def _stands(self, anchor: int) -> bool:
        try:
            state = self.module.cryptoki.session_state(anchor)
        except CryptokiError:
            return False
        return state == ck.CKS_RW_USER_FUNCTIONS or not self._pin.is_given

    def _enter(self) -> tuple[int, int, int]:
        epoch = self.module.epoch
        if self._entered is not None and self._entered[0] == epoch:
            return self._entered
        if self._failed is not None and self._failed[1] == epoch and time.monotonic() < self._failed[0]:
            raise self._failed[2]
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
            self._failed = (time.monotonic() + PAUSE_S, epoch, error)
            raise
        self._failed = None
        self._entered = (epoch, token.slot, session)
        return self._entered

    def _log_in(self, session: int, token: TokenInfo) -> None:
        if not token.flags & ck.CKF_LOGIN_REQUIRED and not self._pin.is_given:
            return
        pin = self._pin.read()
        print_of_it = hashlib.blake2b(
            pin, key=_PIN_PEPPER, salt=hashlib.sha256(f"{token.serial}\0{token.label}".encode()).digest()[:16]
        ).digest()
        if print_of_it in self._refused:
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
        try:
            self.module.cryptoki.login(session, pin)
        except CryptokiError as error:
            if error.value == ck.CKR_USER_ALREADY_LOGGED_IN:
                return
            named = explain_login(error)
            if isinstance(named, PinRefused):
                self._refused.add(print_of_it)
            raise named from None


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

    def read(self) -> bytes:
        """Return the PIN. Blocks. Raises `HsmConfigurationError`, `InvalidKeyUri`."""
        if self._source is None:
            raise HsmConfigurationError(
                "The token wants a PIN: add pin-source=file:PATH or pin-source=env:NAME to the key URI."
            )
        if self._kept is not None:
            return self._kept
        pin = strip_line_ending(read_secret_now(self._source, purpose="PIN of the HSM"))
        if self._source.startswith("prompt:"):
            self._kept = pin
        return pin
