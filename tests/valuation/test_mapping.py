"""Mappings: what foreign columns mean, and what is refused when they mean nothing."""

import tomllib

import pytest

from core.errors import Misconfigured
from valuation.frame import CHANNELS, OBSERVATION_SCHEMA
from valuation.intake.mapping import SHIPPED, load_mapping, plain_mapping, read_mapping

NAMES = ("us_auction", "us_auction_detailed", "us_private", "cn_guazi", "uk_listings", "de_autoscout24")


def mapping(text, name="m"):
    return read_mapping(tomllib.loads(text), name=name)


@pytest.mark.parametrize("name", [*NAMES, "cn_guazi_raw"])
def test_every_shipped_mapping_is_found_by_its_bare_name_and_feeds_a_price(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_mapping(f"valuation/mappings/{name}.toml") == load_mapping(name)
    by_name, by_path = load_mapping(name), load_mapping(SHIPPED / f"{name}.toml")
    assert by_name == by_path
    assert by_name.theirs("price_minor")
    assert by_name.constants["channel"] in CHANNELS
    assert by_name.theirs("observed_at") or by_name.constants["observed_at"]


def test_names_of_the_contract_lead_to_the_columns_of_the_schema():
    ours = [
        "vin",
        "make",
        "model",
        "trim",
        "body",
        "model_year",
        "first_registration",
        "transmission",
        "fuel",
        "odometer_km",
        "condition",
        "colour",
        "region",
        "new_price",
        "guide_price",
        "price",
        "currency",
        "channel",
        "observed_at",
        "source",
    ]
    read = mapping("[columns]\n" + "\n".join(f'"their {name}" = "{name}"' for name in ours))
    assert {target for targets in read.columns.values() for target in targets} <= set(
        OBSERVATION_SCHEMA.names
    )
    assert read.theirs("price_minor") == "their price"
    assert read.theirs("guide_price_minor") == "their guide_price"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[columns]\nx = "horsepowers"', "horsepowers"),
        ('[columns]\na = "price"\nb = "price"', "expected one column for price_minor"),
        ('[units]\nodometer = "furlong"', "furlong"),
        ('[constants]\nchannel = "bazaar"', "bazaar"),
        ('[colums]\nx = "vin"', "colums"),
        ('columns = "vin"', "columns"),
        ('[title]\nlanguage = "tlh"', "tlh"),
    ],
)
def test_a_mapping_that_means_nothing_names_the_word_that_does_not(text, word):
    with pytest.raises(Misconfigured, match=word):
        mapping(text)


def test_an_absent_mapping_lists_the_shipped_ones(tmp_path):
    with pytest.raises(Misconfigured, match="us_auction_detailed"):
        load_mapping(tmp_path / "absent.toml")
    with pytest.raises(Misconfigured, match="uk_listings"):
        load_mapping("uk_listing")


def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path):
    (tmp_path / "m.toml").write_text("[columns\nx = 1")
    with pytest.raises(Misconfigured, match=r"m\.toml"):
        load_mapping(tmp_path / "m.toml")


def test_a_guide_column_named_on_the_command_line_takes_the_place_of_the_mapped_one():
    read = mapping('[columns]\nmmr = "guide_price"\nbook = "region"').with_column("book", "guide_price")
    assert read.theirs("guide_price_minor") == "book"
    assert read.columns["mmr"] == ()
    assert read.columns["book"] == ("region", "guide_price_minor")


def test_a_date_for_all_rows_may_stand_among_the_dates_or_the_constants():
    for text in ("[dates]\nobserved_at = 2021-02-15", '[constants]\nobserved_at = "2021-02-15"'):
        assert str(mapping(text).constants["observed_at"]) == "2021-02-15"


def test_the_plain_mapping_takes_files_that_use_our_own_names():
    assert plain_mapping().theirs("odometer_km") in {"odometer_km", "odometer"}
    assert plain_mapping().columns["price"] == ("price_minor",)
