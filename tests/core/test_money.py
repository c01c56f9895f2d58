from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.money import Money, exponent, format_money, parse_money
from core.errors import Rejected

currencies = st.sampled_from(["CNY", "JPY", "USD", "KWD", "EUR", "KRW", "CHF"])
amounts = st.integers(-(10**17), 10**17)


@given(amounts, currencies, st.sampled_from(["zh-CN", "en"]))
def test_what_is_shown_is_read_back_exactly(amount, currency, locale):
    shown = format_money(Money(amount, currency), locale)
    assert parse_money(shown.replace("CN¥", "¥").replace("JP¥", "¥"), currency) == Money(amount, currency)


@given(amounts, currencies)
def test_the_main_unit_is_exact(amount, currency):
    assert Money(amount, currency).major() * 10 ** exponent(currency) == Decimal(amount)


@given(amounts, amounts)
def test_adding_and_taking_away_again_loses_nothing(left, right):
    total = Money(left, "CNY") + Money(right, "CNY")
    assert total - Money(right, "CNY") == Money(left, "CNY")
    assert (Money(left, "CNY") < Money(right, "CNY")) == (left < right)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("123,456.78", "CNY", 12_345_678),
        ("¥1,000", "CNY", 100_000),
        ("12.5万", "CNY", 12_500_000),
        ("12.34567万元", "CNY", 12_345_670),
        ("1.2亿", "CNY", 12_000_000_000),
        ("3百万", "CNY", 300_000_000),
        ("人民币 8800 元整", "CNY", 880_000),
        ("￥１２，３４５．６０", "CNY", 1_234_560),
        ("(300.00)", "CNY", -30_000),
        ("-0.5", "CNY", -50),
        (".5", "USD", 50),
        ("15k", "USD", 1_500_000),
        ("1,000", "JPY", 1_000),
        ("1.234", "KWD", 1_234),
        ("USD 99.90", "USD", 9_990),
    ],
)
def test_amounts_are_read_as_people_write_them(text, currency, minor):
    assert parse_money(text, currency) == Money(minor, currency)


def test_a_whole_column_may_be_in_ten_thousands():
    assert parse_money("12.5", "CNY", scale_exponent=4) == Money(12_500_000, "CNY")


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", "CNY"), ("abc", "CNY"), ("1,23", "CNY"), ("12,3456.00", "CNY"), ("1.234", "CNY"), ("1.5", "JPY"),
        ("1..2", "CNY"), ("--1", "CNY"), ("(-1)", "CNY"), ("1e5", "CNY"), ("NaN", "CNY"), ("12 34", "CNY"),
        ("(1", "CNY"), ("9" * 40, "CNY"), (".", "CNY"), ("1.000,50", "EUR"),
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(text, currency):
    with pytest.raises(Rejected) as refused:
        parse_money(text, currency)
    assert refused.value.code == "bad_amount"


def test_currencies_do_not_mix_and_fractions_do_not_enter():
    with pytest.raises(Rejected):
        Money(1, "CNY") + Money(1, "USD")
    with pytest.raises(Rejected):
        Money(1, "CNY") < Money(1, "USD")  # noqa: B015
    impossible: list[Any] = [1.0, True, "1"]
    for amount in impossible:
        with pytest.raises(Rejected):
            Money(amount, "CNY")
    with pytest.raises(Rejected):
        Money(1, "yuan")


@pytest.mark.parametrize(
    ("money", "chinese", "english"),
    [
        (Money(1_234_560, "CNY"), "¥12,345.60", "CN¥12,345.60"),
        (Money(-5, "CNY"), "-¥0.05", "-CN¥0.05"),
        (Money(1_000, "JPY"), "JP¥1,000", "JP¥1,000"),
        (Money(1_234, "KWD"), "KWD\u00a01.234", "KWD\u00a01.234"),
    ],
)
def test_amounts_are_shown_with_their_currency(money, chinese, english):
    assert format_money(money) == chinese
    assert format_money(money, "en") == english
