"""A pytest plugin: collects what was skipped and why, and makes a skip a failure where it must not happen.

`--skips-to FILE` appends one JSON line per skip; `python -m tests.house.closing FILE` prints the closing list,
so that several pytest runs end in one. `PLEDGEWATCH_REQUIRE=broker,browser` names markers whose tests may
not skip because that part is missing. They may for other reasons, such as data that CI machines do not have.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

# What a reason says when the part itself is what is missing.
WORDS_FOR_PART = {"broker": ("mosquitto", "broker"), "browser": ("chromium", "browser")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--skips-to", metavar="FILE", help="append skipped tests and their reasons as JSON lines"
    )


def required_parts() -> set[str]:
    return {part.strip() for part in os.environ.get("PLEDGEWATCH_REQUIRE", "").split(",") if part.strip()}


def reason_of(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = reason_of(report)
        parts = sorted(
            part
            for part in required_parts()
            if item.get_closest_marker(part)
            and any(word in reason.lower() for word in WORDS_FOR_PART.get(part, (part,)))
        )
        if parts:
            report.outcome = "failed"
            report.longrepr = f"PLEDGEWATCH_REQUIRE={','.join(parts)} forbids this skip: {reason}"
    return report


class SkipList:
    """Lives in the process that sees every report: the only one, or xdist's controller."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.write(report.nodeid, reason_of(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.write(report.nodeid, report.longrepr[2].removeprefix("Skipped: "))

    def write(self, test: str, reason: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"test": test, "reason": reason}, ensure_ascii=False) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--skips-to")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipList(Path(path)), "skip-list")


def closing_list(lines: list[str]) -> str:
    tests_by_reason: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        skip = json.loads(line)
        tests_by_reason[skip["reason"]].append(skip["test"])
    if not tests_by_reason:
        return "Skipped: nothing."
    count = sum(map(len, tests_by_reason.values()))
    text = [f"Skipped: {count} test(s), for {len(tests_by_reason)} reason(s)"]
    for reason, tests in sorted(tests_by_reason.items()):
        text += [f"  {reason}", *(f"    {test}" for test in tests)]
    return "\n".join(text)


if __name__ == "__main__":
    skips = Path(sys.argv[1])
    print("\n" + closing_list(skips.read_text(encoding="utf-8").splitlines() if skips.exists() else []))
