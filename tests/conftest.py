"""What all tests share: logs as the gateway writes them, on the standard error that pytest captures."""

import io
import sys

import pytest

from gateway import logs
from gateway.core.clock import SystemClock


class _CapturedStderr(io.RawIOBase):
    """Writes to whatever `sys.stderr` is at the moment."""

    def write(self, line: bytes) -> int:  # type: ignore[override]
        """Write one finished line."""
        sys.stderr.write(line.decode())
        return len(line)


@pytest.fixture(scope="session", autouse=True)
def _gateway_logs() -> None:
    logs.configure(level="info", clock=SystemClock(), stream=_CapturedStderr())  # type: ignore[arg-type]
