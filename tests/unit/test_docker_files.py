"""No container engine runs where these tests do, so the image and compose files are linted and read instead."""

import subprocess
import sys
from pathlib import Path

import yaml

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


def test_gateway_service_is_confined() -> None:
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    gateway = compose["services"]["gateway"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["user"] == "10001:10001"
    assert all(port.startswith("127.0.0.1:") for port in gateway["ports"])
    assert set(gateway["secrets"]) <= set(compose["secrets"])
