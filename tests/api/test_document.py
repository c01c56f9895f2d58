"""The committed OpenAPI document, and the word lists."""

from __future__ import annotations

import json
import re
from pathlib import Path

from api.web.texts import FOLDER, LOCALES
from pledgewatch.commands.openapi import text

ROOT = Path(__file__).parents[2]


def test_the_committed_document_is_what_the_code_says():
    committed = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert committed == text(), "pledgewatch openapi --out docs/openapi.json writes it anew"


def test_the_document_promises_problems_and_purposes():
    document = json.loads(text())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"], path
    for path in (
        "/api/v1/positions",
        "/api/v1/tracks/{vehicle_id}",
        "/api/v1/stays",
        "/api/v1/positions/stream",
    ):
        headers = {p["name"]: p for p in document["paths"][path]["get"]["parameters"] if p["in"] == "header"}
        assert headers["Purpose"]["required"], path


def words(locale: str) -> dict[str, str]:
    loaded: dict[str, str] = {}
    for path in (FOLDER / f"{locale}.json", *sorted(FOLDER.glob(f"*.{locale}.json"))):
        loaded |= json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_both_languages_have_the_same_words_with_the_same_gaps():
    chinese, english = words("zh-CN"), words("en")
    assert LOCALES == ("zh-CN", "en")
    assert chinese.keys() == english.keys()
    for key in chinese:
        assert sorted(re.findall(r"\{(\w+)\}", chinese[key])) == sorted(
            re.findall(r"\{(\w+)\}", english[key])
        ), key


def test_every_word_a_template_or_module_asks_for_is_there():
    asked: set[str] = set()
    for path in (FOLDER.parent / "templates").rglob("*.html"):
        asked |= set(re.findall(r"\bt\('([\w.]+)'[,)]", path.read_text(encoding="utf-8")))
    for path in (FOLDER.parent / "static" / "app").glob("*.js"):
        asked |= {"js." + key for key in re.findall(r"\bsay\('([\w.]+)'", path.read_text(encoding="utf-8"))}
    assert len(asked) > 100
    assert asked - words("en").keys() == set()


def test_no_screen_says_what_a_private_lender_may_not_do():
    assert not [text for text in words("zh-CN").values() if "拍" + "卖" in text]
