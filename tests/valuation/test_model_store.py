"""A model survives the way through the database, and nothing else comes out of it."""

import datetime as dt
import io

import numpy as np
import pytest

from core.errors import PledgewatchError
from tests.valuation.synthetic_market import REFERENCE_DAY, draw
from valuation.model.artifact import from_bytes, to_bytes
from valuation.model.fit import fit
from valuation.model.store import fitted_markets, newest_model, newest_version, save_model


@pytest.fixture(scope="module")
def models():
    table = draw(260, 21, guide=True).table
    return [
        fit(part, currency="EUR", channel="auction", data_cut=dt.date(2024, 6, 30))
        for part in (table, table.slice(10))
    ]


def test_a_stored_model_values_explains_and_compares_as_before(market_db, models):
    model = models[0]
    assert save_model(market_db, model)
    read = newest_model(market_db, "EUR", "auction")
    assert read is not None
    assert (read.version, read.data_cut, read.rows, read.metrics) == (
        model.version,
        model.data_cut,
        model.rows,
        model.metrics,
    )
    asked = draw(300, 22, guide=True).table
    for guided in (False, True):
        said = model.estimate(asked, REFERENCE_DAY, use_guide=guided)
        again = read.estimate(asked, REFERENCE_DAY, use_guide=guided)
        for name in ("estimate_minor", "low_minor", "high_minor", "lending_minor", "thickness"):
            assert np.array_equal(getattr(said, name), getattr(again, name))
        assert list(said.status) == list(again.status)
        assert list(said.segment) == list(again.segment)
    assert read.explain(asked, REFERENCE_DAY) == model.explain(asked, REFERENCE_DAY)
    assert read.comparables(asked, REFERENCE_DAY) == model.comparables(asked, REFERENCE_DAY)


def test_the_model_fitted_last_is_in_use(market_db, models):
    old, new = models
    assert newest_model(market_db, "EUR", "auction") is None
    save_model(market_db, old)
    save_model(market_db, new)
    assert newest_version(market_db, "EUR", "auction") == new.version
    assert not save_model(market_db, old)
    assert newest_version(market_db, "EUR", "auction") == old.version
    assert fitted_markets(market_db) == [("EUR", "auction")]
    assert newest_model(market_db, "CNY", "auction") is None


def test_damaged_bytes_are_refused(market_db, models):
    save_model(market_db, models[0])
    market_db.execute(
        "UPDATE valuation_model SET artifact = set_byte(artifact, 100, 1 + get_byte(artifact, 100) % 200)"
    )
    with pytest.raises(PledgewatchError, match="expected the bytes that were written"):
        newest_model(market_db, "EUR", "auction")


def test_an_artifact_holds_arrays_and_never_objects(models):
    artifact = to_bytes(models[0])
    assert b"pickle" not in artifact
    with np.load(io.BytesIO(artifact), allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    assert to_bytes(from_bytes(artifact)) == artifact
