"""Money is integer minor units with a currency; a float cent is a lost cent."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import Source, example, findings, room_files

# In these files nothing at all may be a float.
MONEY_FILES = re.compile(r"^auction/|(^|/|_)(money|ledger|settlement|deposit)[^/]*\.py$")
# Elsewhere a name that says money may not be one. A ratio, rate or share of money is not money.
MONEY_NAMES = re.compile(r"(^|_)(amount|balance|principal|deposit|surplus|shortfall)(_|$)|_minor$")
NOT_MONEY = re.compile(r"(ratio|rate|share|factor|weight|kwh|pct|percent)$")


def says_money(name: str) -> bool:
    return bool(MONEY_NAMES.search(name)) and not NOT_MONEY.search(name)


def mentions_float(annotation: ast.AST | None) -> bool:
    return annotation is not None and any(
        isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation)
    )


def floats_money(source: Source) -> Iterator[str]:
    if MONEY_FILES.search(source.path):
        for node in source.nodes():
            if isinstance(node, ast.Name) and node.id == "float":
                yield source.at(node, "float in money code")
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                yield source.at(node, f"the float {node.value!r} in money code")
        return
    for node in source.nodes():
        name, annotation = "", None
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
            annotation = node.annotation
        if says_money(name) and mentions_float(annotation):
            yield source.at(node, f"{name} is money and annotated float")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            for inner in (part for argument in node.args for part in ast.walk(argument)):
                inner_name = getattr(inner, "id", getattr(inner, "attr", ""))
                if isinstance(inner_name, str) and says_money(inner_name):
                    yield source.at(node, f"float({inner_name})")


def test_no_amount_of_money_is_a_float():
    assert findings(floats_money, room_files()) == []


def test_the_money_lint_finds_floats_by_name_and_by_place():
    by_name = "def owe(amount: float, balance_minor: int | float) -> None: ...\nx = float(loan.principal)"
    assert len(findings(floats_money, example(by_name))) == 3
    by_place = "def cut(price: float) -> None:\n    return price * 0.5"
    assert len(findings(floats_money, example(by_place, "auction/lots.py"))) == 2
    assert len(findings(floats_money, example(by_place, "core/domain/money.py"))) == 2


def test_the_money_lint_leaves_ratios_and_telemetry_alone():
    innocent = "def f(balance_ratio: float, speed_kmh: float, amount_minor: int) -> float: ..."
    assert findings(floats_money, example(innocent)) == []
