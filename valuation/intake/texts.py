"""Texts out of foreign cells: trimmed, lower case, one spelling; each distinct cell is read once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.intake.numbers import UNKNOWN
from valuation.intake.vocabulary import WORDS

_SPACES = re.compile(r"\s+")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
AS_WRITTEN = {"title", "reference", "source"}
CODES = {"currency"}


def read_texts(column: pa.Array, ours: str, words: Mapping[str, Any]) -> pa.Array:
    """Return the column in our spelling; ``words`` of the mapping win over ours."""
    table = {**WORDS.get(ours, {}), **words}

    def read(text: str) -> str | None:
        # U+0000 is in files that some exports wrote; no database text can hold it.
        plain = _SPACES.sub(" ", text.replace("\0", "")).strip()
        if plain.lower() in UNKNOWN:
            return None
        if ours == "vin":
            return plain.upper() if _VIN.fullmatch(plain.upper()) else None
        if ours in AS_WRITTEN:
            return plain
        if ours in CODES:
            return plain.upper()
        plain = plain.lower()
        said = table.get(plain, plain)
        return None if said is None or said == "" else str(said)

    return each_distinct(column, read)


def each_distinct(column: pa.Array, read: Callable[[str], str | None]) -> pa.Array:
    """Return the column with ``read`` applied; called once per distinct cell."""
    cells = pc.dictionary_encode(pc.cast(column, pa.string()))
    said = pa.array([*map(read, cells.dictionary.to_pylist()), None], pa.string())
    return said.take(pc.fill_null(cells.indices, len(said) - 1))


def replaced_words(column: pa.Array, words: Mapping[str, Any]) -> pa.Array:
    """Return the column as texts with the mapping's words in place of theirs, to be read as numbers."""
    return each_distinct(column, lambda text: str(words.get(text.strip().lower(), text)))


def without_make(models: pa.Array, makes: pa.Array) -> pa.Array:
    """Return models without a leading make: ``acura tl`` of acura is ``tl``."""
    both = pc.binary_join_element_wise(pc.fill_null(makes, ""), pc.fill_null(models, ""), "\n")

    def cut(pair: str) -> str | None:
        make, model = pair.split("\n", 1)
        if make and model.startswith(make + " "):
            model = model[len(make) :].strip()
        return model or None

    return each_distinct(both, cut)


def is_one_of(column: pa.Array, words: frozenset[str]) -> Any:
    """Return where the cell is one of the words, whatever the case and spaces around it."""
    plain = pc.utf8_trim_whitespace(pc.utf8_lower(pc.cast(column, pa.string())))
    return np.asarray(pc.fill_null(pc.is_in(plain, pa.array(sorted(words))), False))
