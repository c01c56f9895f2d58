"""Documents that can go stale are compared with what they describe."""

import re
from collections.abc import Iterator
from pathlib import Path

from core.settings import Settings
from tests.house.sources import ROOMS, ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
ADR_PARTS = ["Context", "Decision", "Consequences", "Alternatives"]
ONE_PAGE_LINES = 60


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def dead_links(path: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
            yield f"{path.relative_to(ROOT)}: {target}"


def badly_formed(text: str) -> list[str]:
    wrong = []
    if re.findall(r"^## (.+)$", text, re.MULTILINE) != ADR_PARTS:
        wrong.append(f"expected the parts {', '.join(ADR_PARTS)}")
    if text.count("\n") > ONE_PAGE_LINES:
        wrong.append(f"{text.count(chr(10))} lines do not fit on a page")
    return wrong


def test_no_document_links_to_a_file_that_is_not_there():
    assert [dead for path in documents() for dead in dead_links(path, path.read_text(encoding="utf-8"))] == []


def test_every_decision_has_its_four_parts_on_one_page():
    decisions = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert len(decisions) >= 11
    assert {path.name: wrong for path in decisions if (wrong := badly_formed(path.read_text("utf-8")))} == {}


def test_the_list_of_decisions_is_complete_and_numbered():
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "adr").glob("0*.md"):
        assert path.name in index
        assert path.read_text("utf-8").startswith(f"# {int(path.name[:4])}. ")


def test_operations_explains_every_setting_with_its_default():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `PLEDGEWATCH_(\w+)` \|\s*`?([^|`]*?)`?\s*\|", text, re.MULTILINE))
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    assert set(documented) == set(fields)
    for name, default in fields.items():
        if isinstance(default, bool):
            assert documented[name].strip() == str(default).lower(), name
        elif default not in (None, ""):
            assert documented[name].strip() == str(default), name


def test_operations_declares_all_seven_windows_of_loss():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (W\d) \|", text, re.MULTILINE) == [f"W{number}" for number in range(1, 8)]


def test_the_queue_limits_in_operations_are_those_of_the_broker():
    conf = (ROOT / "deploy" / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
    limits = dict(re.findall(r"^(max_queued_\w+|persistent_client_expiration) (\S+)$", conf, re.MULTILINE))
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"{int(limits['max_queued_messages']):,} messages" in text
    assert f"{int(limits['max_queued_bytes']) // 10**9} GB" in text
    assert f"{limits['persistent_client_expiration'].removesuffix('d')} days" in text


def test_the_codemap_names_every_room():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"| `{room}/` |" not in text] == []


def test_the_document_lints_can_fail(tmp_path):
    assert list(
        dead_links(ROOT / "README.md", "see [this](docs/nowhere.md) and [that](https://example.org)")
    ) == ["README.md: docs/nowhere.md"]
    assert badly_formed("# 1. X\n## Context\n## Decision\n") == [
        "expected the parts Context, Decision, Consequences, Alternatives"
    ]
    assert len(badly_formed("\n" * 61)) == 2
