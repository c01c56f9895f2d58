"""The files that the house rules are about, parsed once."""

import ast
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "core", "collateral", "alerts", "geofence", "valuation", "auction", "ingest", "simulator", "api", "pledgewatch",
)  # fmt: skip
INSTALLED = {"node_modules", "__pycache__", ".venv", ".data", "vendor"}


@dataclass(frozen=True)
class Source:
    """One Python file: its place in the repository, its text, its tree."""

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def _walk(folder: str) -> Iterator[Path]:
    for place, folders, names in os.walk(ROOT / folder):
        folders[:] = sorted(set(folders) - INSTALLED)
        yield from (Path(place) / name for name in sorted(names))


@functools.cache
def python_files(*folders: str) -> tuple[Source, ...]:
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in _walk(folder)
        if path.suffix == ".py"
    )


def room_files() -> tuple[Source, ...]:
    return python_files(*ROOMS)


def suite_files() -> tuple[Source, ...]:
    return python_files("tests")


@functools.cache
def repository_files() -> tuple[Path, ...]:
    """Everything git keeps or would add; without git (an unpacked archive), everything not installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = list(_walk("."))
    return tuple(path for path in found if path.is_file())


def findings(lint: Callable[[Source], Iterator[str]], sources: tuple[Source, ...]) -> list[str]:
    return [finding for source in sources for finding in lint(source)]


def example(text: str, path: str = "geofence/example.py") -> tuple[Source, ...]:
    """An invented file, to prove that a lint can fail."""
    return (Source(path, text),)


def dotted(node: ast.AST) -> str:
    """`datetime.datetime.now` of an attribute chain; empty when it hangs on a call or a subscript."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
