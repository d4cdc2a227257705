"""Loaded modules. A process initialises a module once, however many adapters use it and by whatever path, and
initialises it again when it fails as a whole: its epoch moves on then, and whoever holds a handle of an earlier epoch
gets another before its next call. No thread may be inside the module at that moment, so each worker holds a lock of its
own during a call, and whoever initialises takes them all."""

import itertools
import threading
import time
from contextlib import ExitStack, suppress
from typing import ClassVar

from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.faults import explain
from hsm_adapters.errors import HsmConfigurationError, HsmError, HsmUnavailable, ModuleNotLoaded

PAUSE_S = 1.0
"""A module is initialised again at most once in this time; calls in between fail at once."""

QUIET_S = 5.0
"""How long to wait for calls that are still inside a module before it is initialised again."""

_epochs = itertools.count(1)


class Module:
    """One loaded module. Get it by `Module.acquire`, let it go by `release`."""

    # By the address of the function list: two paths of one library (links) are one module.
    _loaded: ClassVar[dict[int, "Module"]] = {}
    _loading: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, cryptoki: Cryptoki, text: str | None) -> None:
        self.cryptoki = cryptoki
        self._text = text
        self._users = 0
        self._changing = threading.Lock()
        self._callers: set[threading.Lock] = set()
        self._failure: tuple[type[HsmError], str] = (HsmUnavailable, "The HSM does not answer.")
        self._next_restart = 0.0
        self.epoch = next(_epochs)
        """Another number for each time that a module of this process was initialised."""

    @classmethod
    def acquire(cls, path: str, text: str | None) -> "Module":
        """Return the module of that path, loaded and initialised. Blocks. Raises `ModuleNotLoaded`,
        `HsmConfigurationError`, `HsmUnavailable`."""
        try:
            cryptoki = Cryptoki(path)
        except (OSError, AttributeError):
            raise ModuleNotLoaded(
                f"{path} cannot be loaded as a PKCS#11 module. Check module-path, that the file is there, may be read "
                "and was built for this machine."
            ) from None
        except CryptokiError as error:
            raise explain(error) from None
        with cls._loading:
            module = cls._loaded.get(cryptoki.identity)
            if module is None:
                module = cls(cryptoki, text)
                module._initialize(is_first=True)
                cls._loaded[cryptoki.identity] = module
            elif module._text != text:
                raise HsmConfigurationError("Two key URIs open one module with different x-init-args.")
            module._users += 1
            return module

    def release(self) -> None:
        """Let go of the module, with no call of this user's inside it; the last user finalises it."""
        with self._loading:
            self._users -= 1
            if not self._users:
                self._loaded.pop(self.cryptoki.identity, None)
                with self._changing, suppress(CryptokiError):
                    self.cryptoki.finalize()

    def join(self, caller: threading.Lock) -> None:
        """Have `caller` be one of the locks that are taken before the module is initialised again. Blocks meanwhile."""
        with self._changing:
            self._callers.add(caller)

    def leave(self, caller: threading.Lock) -> None:
        """Forget a caller's lock. Blocks while the module is initialised again."""
        with self._changing:
            self._callers.discard(caller)

    def restart(self, seen: int) -> None:
        """Finalise and initialise the module, unless that happened since epoch `seen`. The caller holds none of the
        locks. Raises `HsmError`: at most once in `PAUSE_S` it tries anew."""
        with self._changing:
            if self.epoch != seen:
                return
            if time.monotonic() < self._next_restart:
                kind, text = self._failure
                raise kind(text)
            self._failure = (
                HsmUnavailable,
                "The HSM fails again, a moment after it was there. It is tried again soon.",
            )
            try:
                with ExitStack() as stack:
                    self._quiesce(stack)
                    with suppress(CryptokiError):
                        self.cryptoki.finalize()
                    # What was opened before is void from here on, whether or not the module comes back.
                    self.epoch = next(_epochs)
                    self._initialize(is_first=False)
            except HsmError as error:
                self._failure = (type(error), str(error))
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

    def _initialize(self, *, is_first: bool) -> None:
        try:
            self.cryptoki.initialize(self._text)
        except CryptokiError as error:
            # Another library of this process may have been first; after our own C_Finalize nobody may.
            if error.value != ck.CKR_CRYPTOKI_ALREADY_INITIALIZED or not is_first:
                raise explain(error) from None
