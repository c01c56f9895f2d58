"""docs/faults.md names every row of the matrix and every test that runs one, and no other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"(?m)^\| (F\d\d) \|([^|]*)\|([^|]*)\|([^|]*)\|$")


def documented():
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = {}
    for number, _, tests, _ in TABLE.findall(text):
        assert number not in rows, f"{number} twice"
        rows[number] = {
            (name if "/" in name else f"tests/faults/{name}")
            for name in re.findall(r"`([^`]+::[^`]+)`", tests)
        }
    return rows


def marked():
    """Return (row, path::test) of every test that says which row it runs."""
    found = set()
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    text = ast.unparse(mark)
                    match = re.fullmatch(r"(?:row|pytest\.mark\.fault)\('(F\d\d)'\)", text)
                    if match:
                        found.add((match[1], f"{path.relative_to(ROOT)}::{node.name}"))
    return found


def test_all_thirty_four_rows_are_listed_with_a_test():
    rows = documented()
    assert sorted(rows) == [f"F{n:02}" for n in range(1, 35)]
    assert all(rows.values()), [number for number, tests in rows.items() if not tests]


def test_every_marked_test_is_listed_in_its_row_and_every_listed_one_exists():
    rows = documented()
    for number, name in marked():
        assert name in rows[number], f"{name} runs {number}"
    for number, names in rows.items():
        for name in names:
            path, _, test = name.partition("::")
            assert (ROOT / path).exists(), f"{number}: {path}"
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{number}: {name}"
            if path.startswith("tests/faults/"):
                assert (number, name) in marked(), f"{name} is listed in {number} and does not say so"


@pytest.mark.parametrize("window", [f"W{n}" for n in range(1, 8)])
def test_every_window_of_the_promise_is_declared_to_operators(window):
    assert f"\n| {window} |" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
