"""deploy/setup.sh and the Makefile where they must speak clearly."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.sources import ROOT

TARGETS = ["help", "setup", "run", "test", "check", "fmt", "soak", "bench", "doctor", "lock", "clean"]


@pytest.fixture
def clone(tmp_path) -> Path:
    """A place with the script and without an environment."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "setup.sh", tmp_path / "deploy")
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def python_that(clone: Path, script: str) -> str:
    path = clone / "bin" / "python3"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path.parent)


def set_up(clone: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "deploy/setup.sh", *(arguments or ("runtime",))],
        cwd=clone, env={"PATH": path, "HOME": ""}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def tools_only(clone: Path) -> str:
    """The programs the script needs, and no Python."""
    folder = clone / "tools"
    folder.mkdir()
    for name in ("bash", "awk", "cat", "cut", "dirname", "grep", "head", "mkdir", "sha256sum"):
        found = shutil.which(name)
        assert found, f"{name} is part of every Linux"
        (folder / name).symlink_to(found)
    return str(folder)


def test_a_python_too_old_is_named_and_the_way_out_told(clone):
    old = python_that(clone, 'case "$*" in -V) echo Python 3.9.2;; *) exit 1;; esac')
    answer = set_up(clone, f"{old}:{tools_only(clone)}")
    assert answer.returncode == 1
    assert "Python 3.11 or newer is needed, found Python 3.9.2" in answer.stderr
    assert "make setup PYTHON=" in answer.stderr


def test_a_python_that_cannot_make_environments_is_told_what_to_install(clone):
    bare = python_that(
        clone, 'case "$*" in *ensurepip*|*"venv, pip"*) exit 1;; -V) echo Python 3.11.2;; esac'
    )
    answer = set_up(clone, f"{bare}:{tools_only(clone)}")
    assert answer.returncode == 1
    assert "venv or ensurepip is missing" in answer.stderr
    assert "apt-get install python3-venv" in answer.stderr


def test_an_unknown_kind_of_setup_is_refused(clone):
    answer = set_up(clone, os.environ["PATH"], "everything")
    assert answer.returncode == 2
    assert "expected runtime or dev, was 'everything'" in answer.stderr


def test_make_help_lists_every_target_with_a_word_on_each():
    answer = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall(r"^  ([a-z-]+) +\S", answer.stdout, re.MULTILINE) == TARGETS


def test_lock_files_pin_every_package_with_hashes_and_no_address():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        pinned = re.findall(
            r"^[a-z0-9][\w.-]*==\S+(?: ;[^\\\n]*)? \\\n(    --hash=sha256:[0-9a-f]{64})", text, re.MULTILINE
        )
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 50
        assert "://" not in text
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text(encoding="utf-8")
