"""A folder is a room, a file is one idea: sizes, names and first words."""

import ast
import re
import statistics
from collections.abc import Iterator

from tests.house.sources import (
    ROOMS,
    ROOT,
    Source,
    example,
    findings,
    repository_files,
    room_files,
    suite_files,
)

MOST_LINES = 600
MEDIAN_LINES = 120
DOCSTRING_LINES = 8
WIRING_LINES = 60
MEASURED = {".py", ".js", ".mjs", ".css", ".html", ".sql", ".sh"}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "shared"}


def is_too_long(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > MOST_LINES:
        yield f"{source.path}: {lines} lines, at most {MOST_LINES}"
    if source.name == "__main__.py" and lines > WIRING_LINES:
        yield f"{source.path}: {lines} lines, wiring fits in {WIRING_LINES}"


def does_not_introduce_itself(source: Source) -> Iterator[str]:
    if source.name != "__init__.py":
        return
    text = ast.get_docstring(source.tree) or ""
    if not text.strip():
        yield f"{source.path}: no docstring: what comes in, what goes out, tables owned, process"
    elif len(text.strip().splitlines()) > DOCSTRING_LINES:
        yield f"{source.path}: docstring of {len(text.splitlines())} lines, at most {DOCSTRING_LINES}"


def is_a_drawer(source: Source) -> Iterator[str]:
    for part in source.path.removesuffix(".py").split("/"):
        if part in DRAWERS:
            yield f"{source.path}: {part} says nothing about what is inside"


def is_not_a_sentence(source: Source) -> Iterator[str]:
    for node in source.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            words = [word for word in node.name.removeprefix("test_").split("_") if word]
            if len(words) < 4:
                yield source.at(node, f"{node.name}: a test name is a sentence of at least four words")


def is_left_unfinished(source: Source) -> Iterator[str]:
    for node in source.nodes():
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield source.at(node, "NotImplementedError: finish it or leave it out")


def pending_words(text: str) -> list[str]:
    return re.findall(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b", text)


def test_no_file_is_longer_than_six_hundred_lines():
    assert findings(is_too_long, room_files() + suite_files()) == []
    others = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in repository_files()
        if path.suffix in MEASURED and (lines := path.read_text(encoding="utf-8").count("\n")) > MOST_LINES
    ]
    assert others == []


def test_half_of_the_files_fit_on_two_screens():
    sizes = [source.text.count("\n") for source in room_files() if source.name != "__init__.py"]
    assert statistics.median(sizes) <= MEDIAN_LINES


def test_every_room_is_a_package_with_an_introduction():
    missing = [room for room in ROOMS if not (ROOT / room / "__init__.py").exists()]
    assert missing == []
    assert findings(does_not_introduce_itself, room_files()) == []


def test_no_file_is_a_drawer_for_odd_things():
    assert findings(is_a_drawer, room_files() + suite_files()) == []


def test_every_test_name_is_a_sentence():
    assert findings(is_not_a_sentence, suite_files()) == []


def test_nothing_is_left_for_later_in_the_code():
    assert findings(is_left_unfinished, room_files()) == []
    pending = [
        f"{path.relative_to(ROOT)}: {words}"
        for path in repository_files()
        if path.suffix in MEASURED and (words := pending_words(path.read_text(encoding="utf-8")))
    ]
    assert pending == []


def test_the_shape_lints_can_fail():
    assert findings(is_too_long, example("x = 1\n" * 601))
    assert findings(is_too_long, example("x = 1\n" * 61, "ingest/__main__.py"))
    assert findings(does_not_introduce_itself, example("", "ingest/__init__.py"))
    assert findings(does_not_introduce_itself, example('"""' + "a\n" * 9 + '"""', "ingest/__init__.py"))
    assert findings(is_a_drawer, example("", "ingest/utils.py"))
    assert findings(is_not_a_sentence, example("def test_it_works(): ..."))
    assert findings(is_left_unfinished, example("raise NotImplementedError"))
    assert pending_words("# TO" + "DO later") == ["TO" + "DO"]
    assert not findings(is_not_a_sentence, example("def test_a_late_report_is_replayed(): ..."))
