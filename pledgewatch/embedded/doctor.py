"""`pledgewatch doctor`: what was found, what is missing, how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from pydantic import SecretStr
from rich.table import Table

from core.errors import PledgewatchError
from core.settings import Settings
from pledgewatch.embedded import (
    checks_broker,
    checks_gateways,
    checks_ingest,
    checks_machine,
    checks_servers,
    checks_storage,
)
from pledgewatch.embedded.findings import Check, Verdict
from pledgewatch.embedded.masking import destinations, masked

Examination = Callable[[Settings], Iterable[Check]]

EXAMINATIONS: tuple[Examination, ...] = (
    checks_machine.python,
    checks_servers.postgres,
    checks_servers.timescaledb,
    checks_storage.storage,
    checks_servers.broker,
    checks_broker.rules,
    checks_gateways.jt808,
    checks_ingest.ingest_slots,
    checks_machine.node,
    checks_machine.browser_libraries,
    checks_machine.test_browser,
    checks_machine.data_dir,
    checks_machine.disk_space,
    checks_machine.secrets,
    checks_machine.listening_ports,
)
"""What doctor looks at, in the order it is shown."""

COLOURS: dict[Verdict, str] = {"ok": "green", "note": "yellow", "missing": "red"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result; `healthy` is false when something that `up` needs is missing."""

    checks: tuple[Check, ...]
    settings: dict[str, str]

    @property
    def healthy(self) -> bool:
        return all(check.verdict != "missing" for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "healthy": self.healthy,
            "checks": [asdict(check) for check in self.checks],
            "settings": self.settings,
        }

    def tables(self) -> Iterator[Table]:
        """Yield what a person reads."""
        checks = Table("", "part", "found", "to do", box=None, header_style="bold", title_justify="left")
        for check in self.checks:
            mark = f"[{COLOURS[check.verdict]}]{check.verdict}[/]"
            checks.add_row(mark, check.part, check.found, check.fix)
        yield checks
        settings = Table("setting", "value", box=None, header_style="bold")
        for name, value in self.settings.items():
            settings.add_row(name, value)
        yield settings


def examine(settings: Settings) -> Diagnosis:
    """Look at everything; a part that cannot be examined is a check of its own, never a crash."""
    checks: list[Check] = []
    for examination in EXAMINATIONS:
        try:
            checks.extend(examination(settings))
        except (PledgewatchError, OSError) as error:
            message = error.message if isinstance(error, PledgewatchError) else str(error)
            checks.append(Check(examination.__name__, "missing", message))
    return Diagnosis(tuple(checks), effective_settings(settings))


def effective_settings(settings: Settings) -> dict[str, str]:
    """Return every setting by its variable, secrets and passwords masked."""
    shown = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = "set, hidden"
        elif name == "notify_urls":
            text = destinations(str(value))
        else:
            text = masked(str(value))
        shown[f"PLEDGEWATCH_{name.upper()}"] = "" if value is None else text
    return shown
