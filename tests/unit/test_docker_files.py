"""No container engine runs where these tests do, so the image and compose files are linted and read instead."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from gateway.checks import find_problems
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
