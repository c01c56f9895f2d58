"""Time comes from the clock that a function was given, so that a replay sees the same time."""

import ast
from collections.abc import Iterator

from tests.house.sources import Source, dotted, example, findings, room_files, suite_files

# time.monotonic and perf_counter measure durations and are welcome.
MACHINE_TIME = (
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime",
)  # fmt: skip


def asks_the_machine(source: Source) -> Iterator[str]:
    if source.path == "core/clock.py":
        return
    for node in source.nodes():
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if any(name == banned or name.endswith("." + banned) for banned in MACHINE_TIME):
                yield source.at(
                    node, f"{name}() outside core/clock.py: take a Clock, or core.clock.wall_now()"
                )
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for imported in node.names:
                if f"time.{imported.name}" in MACHINE_TIME:
                    yield source.at(node, f"from time import {imported.name}")


def waits_blindly(source: Source) -> Iterator[str]:
    """A sleep with a fixed length outside a loop is a guess; inside one it is the pause of a poll."""
    polled = {
        id(inner)
        for loop in source.nodes()
        if isinstance(loop, ast.While | ast.For | ast.AsyncFor)
        for inner in ast.walk(loop)
    }
    for node in source.nodes():
        if (
            isinstance(node, ast.Call)
            and dotted(node.func) in {"time.sleep", "sleep", "asyncio.sleep"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and node.args[0].value != 0
            and id(node) not in polled
        ):
            yield source.at(node, "sleeps a fixed time: poll with a deadline")


def test_only_the_clock_module_asks_the_machine_for_the_time():
    assert findings(asks_the_machine, room_files()) == []


def test_no_test_sleeps_a_fixed_time_instead_of_polling():
    assert findings(waits_blindly, suite_files()) == []


def test_the_clock_lint_finds_every_spelling():
    for line in (
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import time\nage = time.time() - 3",
        "from time import time",
        "date.today()",
    ):
        assert len(findings(asks_the_machine, example(line))) == 1, line
    assert findings(asks_the_machine, example("import time\ntime.monotonic()\nclock.now()")) == []


def test_the_sleep_lint_tells_a_guess_from_a_poll():
    assert len(findings(waits_blindly, example("time.sleep(2)"))) == 1
    assert findings(waits_blindly, example("while not ready():\n    time.sleep(0.1)")) == []
