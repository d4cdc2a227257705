"""No container engine runs where these tests do, so the image and compose files are linted and read instead."""

import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import yaml

from gateway.checks import find_problems
from gateway.core.clock import SystemClock
from gateway.healthcheck import own_address
from gateway.lan import make_tls
from gateway.settings import load

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def test_dockerfile_passes_the_linter() -> None:
    result = subprocess.run(
        [BIN / "hadolint", ROOT / "docker/Dockerfile"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_image_runs_without_root_and_reports_its_health() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER 10001:10001" in final
    assert any(line.startswith("HEALTHCHECK") for line in final)
    assert sum(line.startswith("FROM") for line in lines) == 3


def health_check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the image's health check here."""
    found = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])", (ROOT / "docker/Dockerfile").read_text(), re.DOTALL)
    assert found is not None
    program, *arguments = json.loads(found[1])
    assert program == "python"
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


class Answers(BaseHTTPRequestHandler):
    """Says that it is alive, at the right path."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextlib.contextmanager
def serving(address: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve; yield the port."""
    with HTTPServer((address, 0), Answers) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield str(server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_health_check_follows_the_settings(tmp_path: Path) -> None:
    context = make_tls(tmp_path, address="192.0.2.7", clock=SystemClock()).context
    https = {"TESSERA_TLS_CERT": "cert.pem", "TESSERA_TLS_KEY": "key.pem", "TESSERA_LISTEN_HOST": "0.0.0.0"}
    with serving() as plain, serving("0.0.0.0", context) as secure:
        assert health_check({"TESSERA_LISTEN_PORT": plain}).returncode == 0
        assert health_check({"TESSERA_LISTEN_PORT": secure} | https).returncode == 0
        file = tmp_path / "tessera.toml"
        file.write_text(f"listen_port = {plain}\n")
        assert health_check({"TESSERA_CONFIG": str(file)}).returncode == 0
        mixed_up = health_check({"TESSERA_LISTEN_PORT": plain} | https)
        assert (mixed_up.returncode, mixed_up.stderr) == (1, "no answer (SSLError)\n")
    gone = health_check({"TESSERA_LISTEN_PORT": plain})
    assert (gone.returncode, gone.stderr) == (1, "no answer (ConnectionRefusedError)\n")
    assert "listen_port" in health_check({"TESSERA_LISTEN_PORT": "x"}).stderr


def test_health_check_stays_on_this_machine() -> None:
    hosts = {"0.0.0.0": "127.0.0.1", "::": "::1", "127.0.0.1": "127.0.0.1", "10.0.0.5": "10.0.0.5"}
    assert {host: own_address(host) for host in hosts} == hosts


def test_everything_the_dockerfile_copies_exists() -> None:
    built = {"web/dist"}
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert source in built or (ROOT / source).exists(), source


def test_compose_file_follows_the_specification() -> None:
    result = subprocess.run(
        [
            BIN / "check-jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            ROOT / "docker/compose.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def services() -> dict[str, dict[str, Any]]:
    """Return the services that run the gateway's image."""
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    return {name: service for name, service in compose["services"].items() if "build" in service}


def test_gateway_services_are_confined() -> None:
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    for service in services().values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert set(service["secrets"]) <= set(compose["secrets"])


def test_gateway_would_start_with_the_settings_of_the_compose_file() -> None:
    for service in services().values():
        environment = {
            name: re.sub(r"\$\{[^}]*\}", "gateway.bank.example", value)
            for name, value in service["environment"].items()
        }
        settings = load(None, environment)
        assert settings.production
        assert find_problems(settings) == []


def test_gateway_waits_for_its_keys_and_its_tables() -> None:
    found = services()
    assert found["keys"]["command"] == ["keys", "init"]
    assert found["migrate"]["command"] == ["migrate"]
    assert set(found["gateway"]["depends_on"]) == {"keys", "migrate"}
