"""The import law as import-linter checks it in `make check`: complete, and able to fail."""

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.house.sources import ROOMS, ROOT

LAW = [
    "pledgewatch",
    "api",
    "ingest | simulator",
    "geofence | valuation | auction",
    "alerts",
    "collateral",
    "core",
]


def configured() -> dict[str, object]:
    tool: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "importlinter"
    ]
    return tool


def judge(place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=place, env={"PYTHONPATH": str(place), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def invented_house(place: Path, **first_lines: str) -> None:
    """Every room empty but for the given first lines, under our own contracts."""
    for room in ROOMS:
        (place / room).mkdir()
        (place / room / "__init__.py").write_text(first_lines.get(room, ""))
    (place / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())


def test_the_contracts_are_the_written_law_over_all_rooms():
    tool = configured()
    contracts = tool["contracts"]
    assert isinstance(contracts, list)
    assert contracts[0]["layers"] == LAW
    assert set(tool["root_packages"]) == set(ROOMS)  # type: ignore[call-overload]
    assert set(contracts[1]["forbidden_modules"]) == set(ROOMS) - {"core", "simulator"}


def test_an_import_downwards_is_lawful(tmp_path):
    invented_house(tmp_path, ingest="import geofence", api="import alerts", simulator="import core")
    answer = judge(tmp_path)
    assert answer.returncode == 0, answer.stdout


def test_imports_upwards_sideways_and_by_the_simulator_are_refused(tmp_path):
    for number, breach in enumerate(
        ({"core": "import alerts"}, {"valuation": "import auction"}, {"simulator": "import collateral"})
    ):
        place = tmp_path / str(number)
        place.mkdir()
        invented_house(place, **breach)
        answer = judge(place)
        assert answer.returncode == 1, breach
        assert "BROKEN" in answer.stdout, breach
