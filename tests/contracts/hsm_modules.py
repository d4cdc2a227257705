"""Real PKCS#11 modules from Debian's packages, each with a token of its own in a temporary folder. `stands` names them;
a stand that cannot be set up skips, and says what is missing."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

PIN, SO_PIN = "27182818", "31415926"
_LIBRARIES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
NSS = _LIBRARIES / "libsoftokn3.so"
OPENCRYPTOKI = _LIBRARIES / "pkcs11" / "PKCS11_API.so"
TPM2 = _LIBRARIES / "pkcs11" / "libtpm2_pkcs11.so"
P11_KIT = _LIBRARIES / "pkcs11" / "p11-kit-client.so"


@dataclass(frozen=True)
class Stand:
    """A token to test on: its key URI, and the environment that its module wants."""

    uri: str
    environment: Mapping[str, str] = field(default_factory=dict)


def needs(*programs: str | Path) -> None:
    """Skip when a program or library is missing."""
    for program in programs:
        if not (program.exists() if isinstance(program, Path) else shutil.which(program)):
            pytest.skip(f"{Path(program).name} is missing (tests/debian-packages.sh installs it)")


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end."""
    subprocess.run(
        [str(part) for part in command],
        check=True,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=60,
    )


def pin_file(folder: Path, pin: str = PIN) -> Path:
    """Write a PIN where nobody else reads it."""
    path = folder / "pin"
    path.write_text(pin + "\n")
    path.chmod(0o600)
    return path


def uri_of(module: Path, folder: Path, *, choice: str = "token=tessera", more: str = "") -> str:
    """Return the key URI of a token."""
    return f"pkcs11:{choice}?module-path={module}&pin-source=file:{folder / 'pin'}{more}"


@contextlib.contextmanager
def softhsm(folder: Path) -> Iterator[Stand]:
    """SoftHSM 2: the token in files."""
    needs(SOFTHSM, "softhsm2-util")
    environment = softhsm_token(folder)
    yield Stand(uri_of(SOFTHSM, folder), environment)


def softhsm_token(folder: Path, label: str = "tessera") -> dict[str, str]:
    """Make a token and return the environment that finds it."""
    (folder / "tokens").mkdir(exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(configuration)}
    run(
        *("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN),
        environment=environment,
    )
    pin_file(folder)
    return environment


@contextlib.contextmanager
def nss(folder: Path) -> Iterator[Stand]:
    """NSS softokn, as browsers have it: the token in a SQLite file."""
    needs(NSS, "certutil")
    run("certutil", "-N", "-d", f"sql:{folder}", "-f", pin_file(folder))
    arguments = f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    yield Stand(uri_of(NSS, folder, choice="slot-id=2", more=f"&x-sessions=2&x-init-args={quote(arguments)}"))


@contextlib.contextmanager
def p11_kit(folder: Path) -> Iterator[Stand]:
    """SoftHSM in another process, reached through p11-kit's remoting."""
    needs(P11_KIT, "p11-kit", SOFTHSM, "softhsm2-util")
    server = RemoteModule(folder, softhsm_token(folder))
    with server.running():
        yield Stand(uri_of(P11_KIT, folder), server.environment)


class RemoteModule:
    """A `p11-kit server` with SoftHSM: `start` and `kill` it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._socket = folder / "p11"
        self._server_environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {"P11_KIT_SERVER_ADDRESS": f"unix:path={self._socket}"}

    @contextlib.contextmanager
    def running(self) -> Iterator["RemoteModule"]:
        """Run it for the block's time."""
        self.start()
        try:
            yield self
        finally:
            self.kill()

    def start(self) -> None:
        """Start the server and wait for its socket."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["p11-kit", "server", "-f", "-n", self._socket, "--provider", SOFTHSM, "pkcs11:"],
            env={**os.environ, **self._server_environment},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._socket.exists)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server and the children that serve its clients."""
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kill it, and the children that serve its clients, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def tpm2(folder: Path) -> Iterator[Stand]:
    """A TPM 2.0: swtpm behind tpm2-pkcs11, with the resource manager that a TPM needs between (a kernel has one built
    in, /dev/tpmrm0; here it is tpm2-abrmd on a message bus of its own)."""
    needs(TPM2, "swtpm", "tpm2-abrmd", "dbus-daemon", "pkcs11-tool")
    state, store, bus = folder / "state", folder / "store", f"unix:path={folder / 'bus'}"
    state.mkdir()
    store.mkdir()
    port = _port_before_a_free_one()
    with contextlib.ExitStack() as stack:
        _run_beside(
            stack,
            *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "startup-clear"),
            *("--server", f"type=tcp,bindaddr=127.0.0.1,port={port}"),
            *("--ctrl", f"type=tcp,bindaddr=127.0.0.1,port={port + 1}"),
            *("--pid", f"file={folder / 'pid'}"),
        )
        _run_beside(stack, "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={bus}")
        wait_for(lambda: (folder / "pid").exists() and (folder / "bus").exists())
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "TPM2_PKCS11_STORE": str(store),
            "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
        }
        _run_beside(
            stack,
            *("tpm2-abrmd", "--session", "--allow-root", "--max-transients=100"),
            f"--tcti=swtpm:host=127.0.0.1,port={port}",
            environment=environment,
        )
        wait_for(lambda: _init_token(TPM2, so_pin=SO_PIN, environment=environment))
        pin_file(folder)
        yield Stand(uri_of(TPM2, folder, more="&x-sessions=1"), environment)


def _run_beside(
    stack: contextlib.ExitStack, *command: str, environment: Mapping[str, str] | None = None
) -> None:
    """Start a program, and have the stack end it."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)


@contextlib.contextmanager
def opencryptoki(folder: Path) -> Iterator[Stand]:
    """IBM's opencryptoki with its soft token. Its places are fixed in the package, so this process gets a mount and an
    IPC namespace of its own meanwhile, where these places are the test's."""
    needs(OPENCRYPTOKI, "pkcsslotd", "pkcs11-tool")
    if os.geteuid() != 0:
        pytest.skip("opencryptoki's folders belong to root: run the tests as root")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex("/run/pkcsslotd.socket") == 0:
            pytest.skip("an opencryptoki of this machine's own is running")
    with _private_places(folder):
        Path("/run/pkcsslotd.socket").unlink(missing_ok=True)
        daemon = subprocess.Popen(["pkcsslotd", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(Path("/run/pkcsslotd.socket").exists)
            wait_for(lambda: _init_token(OPENCRYPTOKI, so_pin="87654321"))
            pin_file(folder)
            yield Stand(uri_of(OPENCRYPTOKI, folder))
        finally:
            daemon.kill()  # asked to end, it waits for its clients, which a failed test may have left
            daemon.wait()
            for left in ("socket", "pid"):
                Path(f"/run/pkcsslotd.{left}").unlink(missing_ok=True)


def _init_token(module: Path, *, so_pin: str, environment: Mapping[str, str] | None = None) -> bool:
    """Initialise the token in the first slot, and its PIN, by OpenSC's tool. Returns False when nothing answers yet."""
    tool = ("pkcs11-tool", "--module", module, "--slot-index", "0")
    try:
        run(*tool, "--init-token", "--so-pin", so_pin, "--label", "tessera", environment=environment)
    except subprocess.CalledProcessError:
        return False
    so_login = ("--login", "--login-type", "so", "--so-pin", so_pin)
    run(*tool, *so_login, "--init-pin", "--new-pin", PIN, environment=environment)
    return True


@contextlib.contextmanager
def _private_places(folder: Path) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, new_ipc = 0x00020000, 0x08000000
    with contextlib.ExitStack() as stack:
        before = [
            (stack.enter_context(Path(f"/proc/thread-self/ns/{name}").open("rb")), kind)
            for name, kind in (("mnt", new_mounts), ("ipc", new_ipc))
        ]
        if libc.unshare(new_mounts | new_ipc):
            pytest.skip(f"no namespace of our own: {os.strerror(ctypes.get_errno())}")
        try:
            run("mount", "--make-rprivate", "/")
            state, locks, slots = folder / "state", folder / "locks", folder / "opencryptoki.conf"
            shutil.copytree("/var/lib/opencryptoki", state)
            locks.mkdir()
            for place in (locks, locks / "swtok", state, *state.rglob("*")):
                place.mkdir(exist_ok=True)
                shutil.chown(place, "root", "pkcs11")
                place.chmod(0o770)
            slots.write_text("version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n")
            run("mount", "--bind", state, "/var/lib/opencryptoki")
            run("mount", "--bind", locks, "/run/lock/opencryptoki")
            run("mount", "--bind", slots, "/etc/opencryptoki/opencryptoki.conf")
            yield
        finally:
            for old, kind in before:
                libc.setns(old.fileno(), kind)


def _port_before_a_free_one() -> int:
    """Return a free port whose successor is free as well: the TPM's clients look for its control channel there."""
    for port in range(20_000, 30_000, 7):
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port
    raise RuntimeError("no two free ports")


stands: dict[str, Callable[[Path], contextlib.AbstractContextManager[Stand]]] = {
    "softhsm": softhsm,
    "nss": nss,
    "opencryptoki": opencryptoki,
    "tpm2": tpm2,
    "p11-kit": p11_kit,
}


def wait_for(happens: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)
