"""The protocol stands alone: it imports `gateway.core` and libraries, and none that reads a clock or a network."""

import ast
from pathlib import Path

import pytest

import gateway.protocol

FILES = sorted(Path(gateway.protocol.__file__).parent.glob("*.py"))
FORBIDDEN = {
    "aiohttp",
    "asyncio",
    "datetime",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlalchemy",
    "time",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_imports(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in FORBIDDEN
            if name.split(".")[0] == "gateway":
                assert name.startswith(("gateway.core", "gateway.protocol"))
