"""Calls that may block for ever, each in a daemon thread of its own: neither the event loop nor the end of the process
waits for them."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from hsm_adapters.errors import HsmUnavailable

T = TypeVar("T")


async def in_thread(
    call: Callable[[], T], *, patience_s: float | None = None, if_late: Callable[[T], None] | None = None
) -> T:
    """Return what `call` returns, or raise what it raises; `HsmUnavailable` when it takes longer than `patience_s`.
    What it returns after that, or after the caller was cancelled, goes to `if_late`, in a thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    settling = threading.Lock()
    is_given_up = False

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)
        elif error is None and if_late is not None:
            threading.Thread(target=if_late, args=(result,), daemon=True).start()

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as found:
            error = found
        with settling:
            if not is_given_up:
                try:
                    loop.call_soon_threadsafe(settle, result, error)
                except RuntimeError:  # the loop has ended
                    pass
                else:
                    return
        if error is None and if_late is not None:
            if_late(result)  # type: ignore[arg-type]

    threading.Thread(target=run, name="hsm-opening", daemon=True).start()
    try:
        async with asyncio.timeout(patience_s):
            return await asyncio.shield(future)
    except TimeoutError:
        raise HsmUnavailable("The HSM has not answered for a while. It is tried again.") from None
    finally:
        with settling:
            is_given_up = True
        if not future.done():
            future.cancel()
