"""Words that must not be in the repository, whoever wrote them."""

import re
from pathlib import Path

import pytest

from tests.house.sources import ROOT, repository_files

BINARY = {".png", ".jpg", ".ico", ".gz", ".woff2", ".parquet", ".xlsx"}

# Written in pieces so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.$}~/-])/(wo" + r"rk|ro" + r"ot|ho" + r"me/\w+|Us" + r"ers/\w+)(/|\b)")
REGISTRIES = re.compile(
    r"(registry\.npm" + r"js|registry\.yarn" + r"pkg|registry\.npm" + r"mirror|py" + r"pi\.org|files\.python"
    r"hosted|proxy\.go" + r"lang|crates" + r"\.io|artif" + r"actory|/sim" + r"ple/?\b)",
    re.IGNORECASE,
)
KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE K" + r"EY-----|\bAK" + r"IA[0-9A-Z]{16}\b|\bgh" + r"[pousr]_[A-Za-z0-9]{30,}"
)
AUCTION_WORD = "拍" + "卖"


def text_files() -> list[Path]:
    return [path for path in repository_files() if path.suffix not in BINARY]


def lines_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_place_on_somebodys_machine():
    assert lines_with(MACHINE_PATHS, text_files()) == []


def test_no_file_names_a_package_registry_host():
    assert lines_with(REGISTRIES, text_files()) == []


def test_no_file_holds_a_private_key_or_token():
    assert lines_with(KEYS, text_files()) == []


def test_screens_for_private_lenders_never_speak_of_an_auction_house_sale():
    """A private lender may not hold one (architecture 4); screens say 网络竞价 or 变卖."""
    screens = [path for path in text_files() if "api/web" in path.as_posix()]
    assert lines_with(re.compile(AUCTION_WORD), screens) == []


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (MACHINE_PATHS, "see /wo" + "rk/main/x", "workers/main, api/work-orders, $HOME/x"),
        (MACHINE_PATHS, "open('/ro" + "ot/.cfg')", "the /roots of evil"),
        (REGISTRIES, "https://py" + "pi.org/sim" + "ple", "a package registry"),
        (KEYS, "-----BEGIN RSA PRIVATE K" + "EY-----", "-----BEGIN PUBLIC KEY-----"),
    ],
)
def test_the_text_lint_tells_bad_from_good(pattern, bad, good):
    assert pattern.search(bad)
    assert not pattern.search(good)
