"""Lots as everybody reads them: vehicle facts and pseudonyms put beside the row, secrets left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.board.models import Money
from api.sale import store
from api.sale.models import LotOut, StepOut, VehicleFacts
from core.policy.pack import Locale, load_pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from api.sale.store import VehicleRow
    from auction.domain import Lot
    from core.db.pool import Connection


def lots_out(conn: Connection, lots: Sequence[Lot], now: datetime) -> list[LotOut]:
    """Build the public view of lots at a moment of database time."""
    vehicles = store.vehicles(conn, {lot.vehicle_id for lot in lots})
    codes = store.codes(conn, {lot.leader_id for lot in lots if lot.leader_id is not None})
    return [
        _out(lot, vehicles.get(lot.vehicle_id), codes.get(lot.leader_id) if lot.leader_id else None, now)
        for lot in lots
    ]


def lot_out(conn: Connection, lot: Lot, now: datetime) -> LotOut:
    """Build the public view of one lot."""
    return lots_out(conn, [lot], now)[0]


def _out(lot: Lot, vehicle: VehicleRow | None, leader_code: str | None, now: datetime) -> LotOut:
    def money(amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=lot.currency)

    pack = load_pack(lot.pack, lot.pack_version)
    return LotOut(
        id=lot.lot_id, number=lot.number, case_id=lot.case_id, round=lot.round_no, type=lot.type,
        state=lot.state, title=lot.title, description=lot.description, defects=lot.defects,
        vehicle=_facts(vehicle),
        starts_at=lot.starts_at, ends_at=lot.ends_at, planned_end_at=lot.planned_end_at,
        start_price=money(lot.start_minor),
        price=None if lot.price_minor is None else money(lot.price_minor),
        min_next=money(lot.min_next_minor), leader_code=leader_code, seq=lot.seq,
        bid_count=lot.bid_count, extension_count=lot.extension_count, deposit=money(lot.deposit_minor),
        steps=[StepOut(from_minor=step.from_minor, step_minor=step.step_minor) for step in lot.steps],
        tick=money(lot.tick_minor), high=money(lot.high_minor), window_ms=lot.window_ms,
        extension_ms=lot.extension_ms, terms_version=pack.terms_version,
        published_at=lot.published_at, hammered_at=lot.hammered_at, version=lot.version, server_time=now,
        words=words_of(lot),
    )  # fmt: skip


def words_of(lot: Lot, locale: Locale = "zh-CN") -> dict[str, str]:
    """Return the pack's words for a sale: 网络竞价, 起始价, 成交."""
    words = load_pack(lot.pack, lot.pack_version).words[locale]
    return {key: word for key, word in words.items() if "." not in key}


def _facts(vehicle: VehicleRow | None) -> VehicleFacts:
    if vehicle is None:
        return VehicleFacts()
    return VehicleFacts(
        make=vehicle.make, model=vehicle.model, model_year=vehicle.model_year, colour=vehicle.colour,
        first_registration=vehicle.first_registration, use_character=vehicle.use_character,
        emission_stage=vehicle.emission_stage,
    )  # fmt: skip
