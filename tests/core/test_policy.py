"""Packs: what ships loads and says what architecture section 4 binds; what is wrong does not load."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import Misconfigured, Rejected
from core.policy.dates import end_of_business_day
from core.policy.pack import LOCALES, load_pack, pack_of
from core.policy.reading import PACKS, parse_pack, read_pack

AUCTION_WORD = "拍" + "卖"


def test_every_shipped_pack_loads_with_its_dates_and_reasons():
    names = [path.stem for path in PACKS.glob("*.toml")]
    assert sorted(names) == ["cn-private", "demo"]
    for name in names:
        pack = load_pack(name)
        assert pack.name == name
        assert pack.version == 1
        for field, source in pack.sources.items():
            assert source.since <= date(2026, 11, 22), field
            assert len(source.basis) > 10, field


def test_no_screen_of_a_private_lender_speaks_of_an_auction():
    for name in ("cn-private", "demo"):
        words = load_pack(name).words
        assert words["zh-CN"]["sale"] == "网络竞价"
        assert words["zh-CN"]["start_price"] == "起始价"
        assert not [key for key, word in words["zh-CN"].items() if AUCTION_WORD in word]
        assert not [key for key, word in words["en"].items() if "auction" in word.lower()]


def test_both_languages_name_every_step_cost_and_basis():
    pack = load_pack("cn-private")
    for locale in LOCALES:
        for key in (
            *(f"step.{step}" for step in pack.title_steps),
            *(f"cost.{kind}" for kind in pack.cost_caps),
        ):
            assert pack.word(key, locale)
    with pytest.raises(Rejected, match="expected a word"):
        pack.word("no.such.word")


def test_the_demo_pack_differs_in_periods_alone():
    usual, demo = load_pack("cn-private"), load_pack("demo")
    assert demo.announcement == timedelta(0)
    assert demo.pay_by == timedelta(minutes=10)
    assert demo.window_ms == 30_000
    for same in (
        "start_floor_pct",
        "deposit_pct",
        "steps",
        "tick_minor",
        "title_steps",
        "words",
        "cost_caps",
    ):
        assert getattr(demo, same) == getattr(usual, same), same


def test_floor_and_deposit_round_in_favour_of_safety():
    pack = load_pack("cn-private")
    assert pack.floor_minor(10_000_001) == 7_000_001
    assert pack.deposit_minor(6_000_000) == 600_000
    assert pack.deposit_minor(6_010_000) == 610_000


def test_payment_is_due_at_the_end_of_the_fifth_business_day():
    pack = load_pack("cn-private")
    friday_evening = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert pack.pay_by_at(friday_evening) == datetime(2026, 11, 27, 16, tzinfo=UTC)
    before_golden_week = datetime(2026, 9, 30, 10, tzinfo=UTC)
    assert pack.pay_by_at(before_golden_week) == datetime(2026, 10, 14, 16, tzinfo=UTC)
    # In Shanghai it is Saturday already, so Monday is the first day.
    late = datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert pack.pay_by_at(late) == datetime(2026, 11, 27, 16, tzinfo=UTC)
    assert load_pack("demo").pay_by_at(late) == late + timedelta(minutes=10)


def test_business_days_end_at_local_midnight_across_clock_changes():
    # New York leaves summer time on Sunday 1 November 2026.
    friday = datetime(2026, 10, 30, 20, tzinfo=UTC)
    assert end_of_business_day(friday, 1, "America/New_York", frozenset()) == datetime(
        2026, 11, 3, 5, tzinfo=UTC
    )
    assert end_of_business_day(friday, 1, "America/New_York", {date(2026, 11, 2)}) == datetime(
        2026, 11, 4, 5, tzinfo=UTC
    )


def test_an_older_version_stays_loadable_beside_the_newest(tmp_path: Path):
    newest = (PACKS / "cn-private.toml").read_text(encoding="utf-8")
    (tmp_path / "cn-private@1.toml").write_text(newest, encoding="utf-8")
    changed = newest.replace("version = 1", "version = 2", 1).replace("value = 70", "value = 80", 1)
    (tmp_path / "cn-private.toml").write_text(changed, encoding="utf-8")
    assert read_pack("cn-private", folder=tmp_path).fields["start_floor_pct"] == 80
    assert read_pack("cn-private", 1, folder=tmp_path).fields["start_floor_pct"] == 70
    with pytest.raises(Misconfigured, match="there is none"):
        read_pack("cn-private", 3, folder=tmp_path)


def test_an_unknown_pack_is_named_with_those_there_are():
    for name in ("us-ucc", "cn-private@1", "../demo"):
        with pytest.raises(Misconfigured, match="expected one of cn-private, demo") as unknown:
            load_pack(name)
        assert unknown.value.code == "unknown_pack"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("value = 70", "value = 170", "start_floor_pct: expected a whole number from 0 to 100"),
        ("value = 70", "value = 70.5", "start_floor_pct: expected a whole number"),
        ("value = 70", "value = true", "start_floor_pct: expected a whole number"),
        ("[field.start_floor_pct]", "[field.start_flor_pct]", "missing or unknown"),
        ('value = "7d"', 'value = "1 week"', "announcement: expected a period"),
        ("value = true", "value = false", "single_bidder_suffices: expected true"),
        ("from_minor = 0,", "from_minor = 1,", "the first from 0"),
        ("step_minor = 100_000", "step_minor = 0", "steps of from_minor"),
        ("recovery = 500_000, ", "", "cost_caps_minor: expected an amount for each"),
        ('value = "licensed_lender"', 'value = "bank"', "expected licence of"),
        ('zone = "Asia/Shanghai"', 'zone = "Asia/Peking"', "zone of the tz database"),
        ("value = 5\n", "value = 0\n", "expected pay_by or pay_by_business_days"),
        ("transfer_filed = [", "transfer_fled = [", "title_requires of known steps"),
        ('"step.keys" = "钥匙"', "", "words in both languages for step.keys"),
        ("since = 2026-01-01", 'since = "today"', "expected since as a date"),
        ('basis = "House rule: whole hundreds of yuan."', "", "expected value, since and basis"),
        ("version = 1", "version = 0", "expected version from 1"),
        ('currency = "CNY"', 'currency = "yuan"', "three capital letters"),
        ("[words.en]", "[word.en]", "expected currency, extends"),
        ("[field.start_floor_pct]", "field.start_floor_pct", "expected TOML"),
    ],
)
def test_a_pack_with_a_mistake_does_not_load(old, new, says):
    text = (PACKS / "cn-private.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(Misconfigured) as refused:
        pack_of(parse_pack(text.replace(old, new, 1), "cn-private.toml"), "cn-private")
    assert says in refused.value.message
