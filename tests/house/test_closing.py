"""The closing list of `make test`, and skips that must not be."""

import os
import subprocess
import sys
from pathlib import Path

from tests.house.closing import closing_list
from tests.house.sources import ROOT

SUITE = """
import pytest

@pytest.mark.browser
def test_shows_the_map_to_somebody():
    pytest.skip("chromium is not installed")

@pytest.mark.broker
def test_replays_a_recorded_file():
    pytest.skip("the folder ../shared/data is absent")

def test_passes_without_further_ado():
    pass
"""

# Of all that is installed, these suffice: loading the others would take most of the time.
PLUGINS = ("-p", "xdist.plugin", "-p", "pytest_timeout")


def run_suite(place: Path, require: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    suite = place / "test_invented.py"
    suite.write_text(SUITE)
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS, "-c", str(ROOT / "pyproject.toml"),
            "--rootdir", str(place), "--confcutdir", str(place), str(suite), *arguments,
        ],
        cwd=ROOT, env=env | {"PLEDGEWATCH_REQUIRE": require}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_missing_part_that_is_required_fails_instead_of_skipping(tmp_path):
    answer = run_suite(tmp_path, "broker,browser")
    assert answer.returncode == 1
    assert "1 failed, 1 passed, 1 skipped" in answer.stdout
    assert "PLEDGEWATCH_REQUIRE=browser forbids this skip: chromium is not installed" in answer.stdout


def test_without_requirements_a_missing_part_is_a_skip(tmp_path):
    answer = run_suite(tmp_path, "")
    assert answer.returncode == 0
    assert "1 passed, 2 skipped" in answer.stdout


def test_several_runs_end_in_one_list_of_reasons(tmp_path):
    skips = tmp_path / "skips.jsonl"
    run_suite(tmp_path, "", "--skips-to", str(skips), "-n", "1")
    run_suite(tmp_path, "", "--skips-to", str(skips), "-k", "map")
    text = closing_list(skips.read_text(encoding="utf-8").splitlines())
    assert text.startswith("Skipped: 3 test(s), for 2 reason(s)")
    assert "  chromium is not installed" in text
    assert "  the folder ../shared/data is absent" in text


def test_an_empty_list_says_that_nothing_was_skipped():
    assert closing_list([]) == "Skipped: nothing."
