"""Where a PIN comes from."""

from pathlib import Path

import pytest

from hsm_adapters.errors import HsmConfigurationError
from hsm_adapters.sources import read_pin_now


@pytest.mark.parametrize("content", ["\n", "\r\n", ""])
def test_an_empty_pin_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pin"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(HsmConfigurationError, match="PIN"):
        read_pin_now(f"file:{path}")


@pytest.mark.parametrize(
    ("content", "pin"), [("1234", b"1234"), ("1234\n", b"1234"), ("12 34\r\n", b"12 34")]
)
def test_a_pin_stands_in_one_line(tmp_path: Path, content: str, pin: bytes) -> None:
    path = tmp_path / "pin"
    path.write_text(content)
    path.chmod(0o600)
    assert read_pin_now(f"file:{path}") == pin
