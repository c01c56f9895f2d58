"""A model as bytes: one compressed .npz of plain arrays and one JSON text. No pickle on either way.

Why not pickled estimators: a pickle runs code when it is read, and is bound to the library's version.
Trees are arrays of nodes here; scikit-learn only grows them, and walks many rows through them fast. Loading
allows no object arrays, and the bytes are checked against the SHA-256 stored beside them.
"""

from __future__ import annotations

import io
import itertools
import json
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import PledgewatchError
from valuation.model.adjuster import Adjuster, under
from valuation.model.cells import CellIndex, CellMeans
from valuation.model.comparables import Past
from valuation.model.interval import Constants
from valuation.model.level import Groupings, Level
from valuation.model.rows import Vocabulary
from valuation.model.stage import Stage
from valuation.model.valuer import Model, Reference

FORMAT = 1
_ADJUSTERS = ("driven", "blind", "guided")
_LEVEL_ARRAYS = ("curve", "use", "new_curve")
_LEVEL_MEANS = ("slopes", "new_makes", "new_models")


def to_bytes(model: Model) -> bytes:
    """Return the model as bytes; ``from_bytes`` gives an equal one."""
    arrays: dict[str, Any] = {}
    for name, words in model.vocabulary.words.items():
        # Lengths beside one run of UTF-8: words may hold any character.
        encoded = [word.encode() for word in words.to_pylist()]
        arrays[f"words.{name}.lengths"] = np.array([len(word) for word in encoded], np.int64)
        arrays[f"words.{name}.utf8"] = np.frombuffer(b"".join(encoded), np.uint8)
    for name in _ADJUSTERS:
        adjuster = getattr(model.stage, name)
        if adjuster is not None:
            arrays |= {f"{name}.{key}": value for key, value in adjuster.arrays().items()}
    level = model.stage.level
    arrays |= {f"level.{name}": getattr(level, name) for name in _LEVEL_ARRAYS}
    for name in _LEVEL_MEANS:
        arrays |= _means_arrays(f"level.{name}", getattr(level, name))
    for kind in ("levels", "encodings"):
        for place, (index, means) in enumerate(
            zip(getattr(model.stage.groupings, kind), getattr(level, kind), strict=True)
        ):
            arrays[f"{kind}.{place}.keys"] = index.keys
            arrays |= _means_arrays(f"{kind}.{place}", means)
    for name, constants in (("constants", model.constants), ("guided_constants", model.guided_constants)):
        if constants is not None:
            arrays |= {f"{name}.{key}": value for key, value in constants.arrays().items()}
    arrays |= {f"past.{name}": values for name, values in model.past.columns.items()}
    told = {
        "format": FORMAT,
        "version": model.version,
        "currency": model.currency,
        "channel": model.channel,
        "data_cut": model.data_cut.isoformat(),
        "rows": model.rows,
        "metrics": model.metrics,
        "reference": [
            model.reference.age_y,
            _nullable(model.reference.condition),
            model.reference.knows_odometer,
        ],
        "mean": level.mean,
        "new_mean": level.new_mean,
        "adjusters": [name for name in _ADJUSTERS if getattr(model.stage, name) is not None],
        "guided_constants": model.guided_constants is not None,
        "groupings": {
            kind: [
                [list(index.columns), list(index.widths)] for index in getattr(model.stage.groupings, kind)
            ]
            for kind in ("levels", "encodings")
        },
    }
    arrays["told"] = np.frombuffer(json.dumps(told, ensure_ascii=False).encode(), np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()


def from_bytes(artifact: bytes) -> Model:
    """Return the model.

    Raises:
        PledgewatchError: the bytes are of another format.
    """
    with np.load(io.BytesIO(artifact), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    told = json.loads(arrays["told"].tobytes().decode())
    if told["format"] != FORMAT:
        raise PledgewatchError(
            f"Model: expected format {FORMAT}, was {told['format']}; run pledgewatch valuation fit",
            code="model_format",
        )
    groupings = {
        kind: tuple(
            CellIndex(tuple(columns), tuple(widths), arrays[f"{kind}.{place}.keys"])
            for place, (columns, widths) in enumerate(told["groupings"][kind])
        )
        for kind in ("levels", "encodings")
    }
    means = {
        kind: tuple(_means_of(f"{kind}.{place}", arrays) for place in range(len(groupings[kind])))
        for kind in groupings
    }
    level = Level(
        mean=told["mean"],
        curve=arrays["level.curve"],
        use=arrays["level.use"],
        slopes=_means_of("level.slopes", arrays),
        levels=means["levels"],
        encodings=means["encodings"],
        new_mean=told["new_mean"],
        new_curve=arrays["level.new_curve"],
        new_makes=_means_of("level.new_makes", arrays),
        new_models=_means_of("level.new_models", arrays),
    )
    adjusters = {
        name: Adjuster.of(under(arrays, name)) if name in told["adjusters"] else None for name in _ADJUSTERS
    }
    age, condition, knows_odometer = told["reference"]
    return Model(
        version=told["version"],
        currency=told["currency"],
        channel=told["channel"],
        data_cut=date.fromisoformat(told["data_cut"]),
        rows=told["rows"],
        metrics=told["metrics"],
        vocabulary=Vocabulary({name.split(".")[1]: _words(name, arrays) for name in _word_names(arrays)}),
        stage=Stage(Groupings(groupings["levels"], groupings["encodings"]), level, **adjusters),
        constants=Constants(**under(arrays, "constants")),
        guided_constants=Constants(**under(arrays, "guided_constants")) if told["guided_constants"] else None,
        reference=Reference(age, float("nan") if condition is None else condition, knows_odometer),
        past=Past(under(arrays, "past")),
    )


def _means_arrays(prefix: str, means: CellMeans) -> dict[str, Any]:
    return {f"{prefix}.deviation": means.deviation, f"{prefix}.weight": means.weight}


def _means_of(prefix: str, arrays: dict[str, Any]) -> CellMeans:
    return CellMeans(arrays[f"{prefix}.deviation"], arrays[f"{prefix}.weight"])


def _word_names(arrays: dict[str, Any]) -> list[str]:
    return [name for name in arrays if name.startswith("words.") and name.endswith(".lengths")]


def _words(name: str, arrays: dict[str, Any]) -> pa.Array:
    ends = np.cumsum(arrays[name])
    run = arrays[name.removesuffix(".lengths") + ".utf8"].tobytes()
    starts = [0, *ends.tolist()]
    return pa.array([run[a:b].decode() for a, b in itertools.pairwise(starts)], pa.string())


def _nullable(value: float) -> float | None:
    return None if np.isnan(value) else value
