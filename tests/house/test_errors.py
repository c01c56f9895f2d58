"""One error tree, drawn where it is defined, each branch with a stable code and an HTTP status."""

import re
from collections.abc import Iterable

import core.errors
from core.errors import PledgewatchError


def tree(root: type[PledgewatchError]) -> Iterable[type[PledgewatchError]]:
    yield root
    for branch in root.__subclasses__():
        yield from tree(branch)


def own_errors() -> list[type[PledgewatchError]]:
    return [error for error in tree(PledgewatchError) if error.__module__ == "core.errors"]


def badly_coded(errors: Iterable[type[PledgewatchError]]) -> list[str]:
    return [
        f"{error.__name__}: code {error('x').code!r}, status {error.status}"
        for error in errors
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", error("x").code) or not 400 <= error.status <= 599
    ]


def test_every_error_has_a_snake_case_code_and_a_status():
    assert badly_coded(own_errors()) == []


def test_no_two_errors_share_a_default_code():
    codes = [error.default_code for error in own_errors()]
    assert sorted(codes) == sorted(set(codes))


def test_the_docstring_draws_the_tree_as_it_is():
    drawn = re.findall(r"^\W*(\w+) +(\d{3}) ", core.errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted((error.__name__, str(error.status)) for error in own_errors())


def test_the_code_lint_finds_an_uncoded_error():
    class Vague(PledgewatchError):
        default_code = "Something Odd"

    assert len(badly_coded([Vague])) == 1
