"""Every word that a recovery can show exists in both languages."""

from __future__ import annotations

import json
import re

from alerts.cases.transitions import STATES
from alerts.recovery.domain import FAILURES, GROUND_KINDS, PHOTO_KINDS, RELEASE_KINDS
from api.web.recovery_facts import STEPS
from api.web.render import _environment
from api.web.texts import FOLDER, LOCALES, texts

TEMPLATES = ("_recovery.html", "_steps.html", "_crew_link.html", "crew.html", "crew_over.html")
OVER = ("unknown", "braked", "ended", "done_locating", "done_in_yard")


def needed() -> set[str]:
    words = {
        *(f"case_state.{state}" for state in STATES), *(f"case_step.{step}" for step in STEPS),
        *(f"ground.{kind}" for kind in GROUND_KINDS), *(f"photo.{kind}" for kind in PHOTO_KINDS),
        *(f"failure.{kind}" for kind in FAILURES), *(f"release.{kind}" for kind in RELEASE_KINDS),
        *(f"outcome_visit.{kind}" for kind in (*FAILURES, "out", "recovered", "ground_withdrawn")),
        *(f"ground_state.{state}" for state in ("in_force", "pending", "refused", "withdrawn")),
        *(f"crew.over.{what}" for what in OVER), *(f"crew.over.{what}_more" for what in OVER),
    }  # fmt: skip
    for name in TEMPLATES:
        assert _environment.loader is not None
        source, _, _ = _environment.loader.get_source(_environment, name)
        words |= set(re.findall(r"""t\('([a-z_]+\.[a-z_.]+)'[,)]""", source))
    return words


def test_no_word_of_a_recovery_is_missing_in_either_language():
    wanted = needed()
    assert len(wanted) > 100
    for locale in LOCALES:
        known = texts(locale)
        assert sorted(word for word in wanted if not known.has(word)) == [], locale


def test_both_catalogues_of_the_recovery_say_the_same_things():
    chinese, english = (
        json.loads((FOLDER / f"recovery.{locale}.json").read_text(encoding="utf-8")) for locale in LOCALES
    )
    assert chinese.keys() == english.keys()
    for key, text in chinese.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key
