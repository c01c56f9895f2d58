"""Files and words that cannot be used: an exit code, one line that names the fault, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import Rejected
from ingest.checking.check import read_log

RING = "[[121,31],[122,31],[122,32],[121,32],[121,31]]"
FENCE = (
    '{"type": "Feature", "id": "%s", "properties": {},'
    f' "geometry": {{"type": "Polygon", "coordinates": [{RING}]}}}}'
)
TRACK = "vehicle_id,ts,lat,lon\nv,1700000000,31,121\n"


@pytest.fixture
def shell(tmp_path):
    (tmp_path / "f.geojson").write_text(FENCE % "a")
    (tmp_path / "nul.geojson").write_text(FENCE % "a\\u0000")
    (tmp_path / "words.geojson").write_text("hello")
    (tmp_path / "t.csv").write_text(TRACK)
    (tmp_path / "broken.csv").write_text(TRACK + "v,never,31,121\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pledgewatch", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**environment, "PYTHONPATH": str(Path.cwd())}, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ("fences check absent.geojson", 2, "does not exist"),
        ("fences check f.geojson --datum mars", 2, "bad_datum"),
        ("fences import words.geojson --category pawn", 1, "not_json"),
        ("fences check nul.geojson", 1, "U+0000"),
        ("replay --tracks absent.csv --out e.csv", 2, "does not exist"),
        ("replay --tracks t.csv --out e.csv --timezone Mars/Olympus", 2, "time zone"),
        ("replay --tracks t.csv --out e.csv --fences f.geojson --fence-datum mars", 2, "bad_datum"),
        ("replay --tracks broken.csv --out e.csv", 1, "Line 3"),
        ("simulate --replay absent.csv", 2, "does not exist"),
        ("simulate --scenario opera --out o.csv", 2, "unknown_scenario"),
        ("quarantine replay --id 99999999999999999999", 2, "--id"),
        ("token create --role admin --days 99999999999", 2, "--days"),
    ],
)
def test_wrong_use_exits_with_two_and_a_wrong_file_with_one(shell, arguments, code, word):
    ended = shell(*arguments.split())
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
    assert word in ended.stderr


def test_with_json_a_fault_is_the_last_line_too(shell):
    ended = shell("replay", "--tracks", "broken.csv", "--out", "e.csv", "--json")
    said = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, said["error"]["code"]) == (1, "bad_track")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"d1,1," + b"9" * 30 + b",aa,0\n", "64 bits"),
        (b"d1,x,1,aa,0\n", "line 2"),
        (b"d\x001,1,1,aa,0\n", "U+0000"),
        (b"\xff\xfe,1,1,aa,0\n", "utf-8"),
        (b'"' + b"x" * 200_000 + b'",1,1,aa,0\n', "field"),
    ],
)
def test_a_publish_log_that_cannot_be_read_is_refused_by_line(tmp_path, line, word):
    path = tmp_path / "acklog.csv"
    path.write_bytes(b"device_id,boot_id,seq,sha256,reason_code\n" + line)
    with pytest.raises(Rejected, match="acklog") as refused:
        list(read_log(path))
    assert word in refused.value.message
