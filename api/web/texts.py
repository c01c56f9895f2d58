"""The words of the pages: per language one catalogue and one for each room; a test looks for holes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "i18n"
LOCALES = ("zh-CN", "en")


class Texts:
    """Looks words up; ``t("age.minutes", n=4)``."""

    def __init__(self, locale: str, words: dict[str, str]) -> None:
        self.locale = locale
        self._words = words

    def __call__(self, key: str, **facts: object) -> str:
        """Return the text of a key; a key that is missing shows itself, which a test finds."""
        text = self._words.get(key, key)
        return text.format(**facts) if facts else text

    def has(self, key: str) -> bool:
        """Whether the catalogue has a key; for words of rules and fields that others may add."""
        return key in self._words

    def word(self, group: str, value: object) -> str:
        """Return the word for a value of an enumeration; an unknown one is shown as it is."""
        key = f"{group}.{value}"
        return self._words.get(key, str(value))

    def under(self, prefix: str) -> dict[str, str]:
        """Return the texts whose keys begin with a prefix, for a browser module."""
        return {key.removeprefix(prefix): text for key, text in self._words.items() if key.startswith(prefix)}


@cache
def texts(locale: str) -> Texts:
    """Return the words of a language: `zh-CN.json`, then `auction.zh-CN.json` and the other rooms'."""
    words: dict[str, str] = {}
    for path in (FOLDER / f"{locale}.json", *sorted(FOLDER.glob(f"*.{locale}.json"))):
        words |= json.loads(path.read_text(encoding="utf-8"))
    return Texts(locale, words)
