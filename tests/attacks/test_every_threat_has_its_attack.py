"""Holds the table of THREAT_MODEL.md and the files of this folder together: every threat has a file that carries its
number and names it, and every file a threat."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
MODEL = (HERE.parents[1] / "THREAT_MODEL.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (T\d\d) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", MODEL, re.MULTILINE)


def files() -> dict[str, Path]:
    """Return the file of each threat. Two of one number are a mistake."""
    found: dict[str, Path] = {}
    for path in sorted(HERE.glob("test_t[0-9][0-9]_*.py")):
        number = path.name[5:8].upper()
        assert number not in found, f"two files for {number}"
        found[number] = path
    return found


def test_the_table_is_read_whole() -> None:
    numbers = [row[0] for row in ROWS]
    assert len(numbers) == len(set(numbers)) == MODEL.count("\n| T")
    assert numbers == sorted(numbers)
    assert {"T01", "T24", "T30", "T32"} <= set(numbers)


def test_every_threat_has_a_file_and_every_file_a_threat() -> None:
    assert set(files()) == {row[0] for row in ROWS}


def test_every_file_names_its_threat_and_tries_it() -> None:
    for number, path in files().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert (ast.get_docstring(tree) or "").startswith(f"{number}: "), path.name
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert any(function.name.startswith("test_") for function in functions), path.name


def test_the_model_cites_no_other_place() -> None:
    """Numbers in the text are those of the table."""
    assert set(re.findall(r"\bT\d\d\b", MODEL)) <= {row[0] for row in ROWS}
