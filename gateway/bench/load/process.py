"""A server process under measurement: started on one core, watched through /proc, stopped by its own id. The load
benches call it; Linux alone has what it reads."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.bench import Unavailable

START_S = 60.0
STOP_S = 20.0
OPEN_FILES = 24_000
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the server has to itself, and which ones the load comes from."""

    server: int
    load: frozenset[int]

    @classmethod
    def split(cls) -> "Cores":
        """Give the last core to the server and the others to the load. On a machine with one core they share it.
        Raises Unavailable on systems without processor affinity."""
        if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/stat").exists():
            raise Unavailable("the load benches read /proc and pin processes to cores: run them on Linux")
        *others, last = sorted(os.sched_getaffinity(0))
        if not others:
            tell("one core alone: the load generator shares it with the server")
        return cls(last, frozenset(others) or frozenset({last}))

    @contextlib.contextmanager
    def load_here(self) -> Iterator[None]:
        """Keep this process on the load's cores meanwhile, and let it open enough sockets."""
        before = os.sched_getaffinity(0)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.sched_setaffinity(0, self.load)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_most(files[1]), files[1]))
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
            resource.setrlimit(resource.RLIMIT_NOFILE, files)


class ServerProcess:
    """A Python program that listens on a loopback port and answers `ready` with 200 once it does."""

    def __init__(
        self, arguments: Sequence[str], *, core: int, port: int, ready: str, environment: Mapping[str, str]
    ) -> None:
        """`arguments` follow the interpreter's name. Call `start`."""
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = arguments
        self._core = core
        self._ready = ready
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, log: Path) -> None:
        """Start it, its output in `log`, and wait until it is ready. Raises RuntimeError with the log's end."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                env=own | dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        os.sched_setaffinity(self._process.pid, {self._core})
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + self._ready, timeout=2) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it by SIGTERM, then by SIGKILL, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def running(self, log: Path) -> Iterator["ServerProcess"]:
        """Start it, and stop it at the end."""
        self.start(log)
        try:
            yield self
        finally:
            self.stop()

    def begin_ledger(self) -> None:
        """Have a gateway with a ledger forget what it has charged so far."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def cpu_s(self) -> float:
        """Return the processor time that it has used in all its threads, seconds (proc(5): utime and stime)."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_bytes(self) -> int:
        """Return its proportional set size: own pages, and a share of those that others map too (proc(5))."""
        for line in self._proc("smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel tells no proportional set size")

    def _proc(self, name: str) -> str:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return Path(f"/proc/{self._process.pid}/{name}").read_text()


def free_port() -> int:
    """Return a loopback TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_cpu_s() -> float:
    """Return the processor time of this process, seconds."""
    return time.process_time()


def tell(text: str) -> None:
    """Say how far the bench is, on standard error."""
    print(text, file=sys.stderr, flush=True)


def tell_load() -> None:
    """Say how busy the machine is: the figures of a busy one are worth less."""
    one, five, _ = os.getloadavg()
    tell(f"load average {one:.2f} over one minute, {five:.2f} over five; {os.cpu_count()} cores")


def _most(hard: int) -> int:
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
