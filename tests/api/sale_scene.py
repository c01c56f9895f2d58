"""A sale played over HTTP: the case, the lot, the bidders. Time moves by moving the lot's end in its row."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from auction.lots.store import database_now
from auction.timers.sweep import sweep
from collateral.staff.access import create_token
from core.db.pool import connect
from tests.fix_api import Served

API = "/api/v1"
START, TICK, STEP = 6_000_000, 10_000, 100_000
"""60,000 yuan; the pack's step from there is 1,000 yuan."""
_numbers = itertools.count(1)


@dataclass
class Person:
    """A bidder with a client of their own."""

    client: httpx.Client
    name: str
    token: str
    registration: dict[str, Any] = field(default_factory=dict)
    bidder_id: int = 0

    @property
    def code(self) -> str:
        return str(self.registration["code"])

    def bid(self, lot_id: str, amount_minor: int, *, key: str | None = None, **more: Any) -> httpx.Response:
        body = {"max": {"amount_minor": amount_minor, "currency": "CNY"}} | more
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.client.post(f"{API}/lots/{lot_id}/bids", json=body, headers=headers)


@dataclass
class Sale:
    """One vehicle on its way."""

    served: Served
    case_id: str = ""
    lot_id: str = ""
    people: list[Person] = field(default_factory=list)

    @property
    def staff(self) -> httpx.Client:
        return self.served.as_("disposal")

    @property
    def other(self) -> httpx.Client:
        """The second person."""
        return self.served.as_("admin")

    @property
    def stranger(self) -> httpx.Client:
        return self.served.as_(None)

    def lot(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stranger.get(f"{API}/lots/{self.lot_id}").json()
        return found

    def open_case(self, vehicle_id: str = "V1") -> None:
        with self.served.town.connect() as conn:
            conn.execute("UPDATE vehicle SET custody = 'lender_yard' WHERE vehicle_id = %s", (vehicle_id,))
            conn.execute(
                "UPDATE loan SET status = 'overdue', days_past_due = 34 WHERE vehicle_id = %s", (vehicle_id,)
            )
        self.case_id = made(self.staff.post(f"{API}/disposal-cases", json={"vehicle_id": vehicle_id}))["id"]

    def prepare(self) -> None:
        """Basis and appraisal."""
        basis = {"kind": "contractual_self_sale", "reference": "合同-7 第12条"}
        assert self.staff.put(f"{API}/disposal-cases/{self.case_id}/basis", json=basis).status_code == 200
        with self.served.town.connect() as conn:
            today = (database_now(conn) + timedelta(hours=8)).date()
        appraisal = {
            "value": {"amount_minor": 8_000_000, "currency": "CNY"}, "appraiser": "衡正评估",
            "valued_on": today.isoformat(), "reference": "HZ-1",
        }  # fmt: skip
        answer = self.staff.put(f"{API}/disposal-cases/{self.case_id}/appraisal", json=appraisal)
        assert answer.status_code == 200, answer.text

    def terms(self, **changes: Any) -> dict[str, Any]:
        with self.served.town.connect() as conn:
            now = database_now(conn)
        return {
            "title": "骏驰 A6 2022", "start_minor": START, "starts_at": (now + timedelta(seconds=1)).isoformat(),
            "ends_at": (now + timedelta(minutes=5)).isoformat(), "defects": "前杠补漆",
        } | changes  # fmt: skip

    def draft(self, **changes: Any) -> None:
        answer = self.staff.post(f"{API}/disposal-cases/{self.case_id}/rounds", json=self.terms(**changes))
        self.lot_id = made(answer)["id"]

    def move(self, who: httpx.Client, action: str, **more: Any) -> httpx.Response:
        return who.post(f"{API}/lots/{self.lot_id}/transitions", json={"action": action} | more)

    def publish(self, **changes: Any) -> None:
        self.open_case()
        self.prepare()
        self.draft(**changes)
        assert self.move(self.staff, "submit").status_code == 200
        answer = self.move(self.other, "publish")
        assert answer.status_code == 200, answer.text

    def come(self, count: int = 2, *, credit_minor: int = 5_000_000) -> None:
        """Bidders register, are verified, and leave their deposits."""
        for number in range(count):
            with self.served.town.connect() as conn:
                token = create_token(conn, "bidder", name=f"bidder-{next(_numbers)}")
            client = httpx.Client(
                base_url=self.served.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=20
            )
            self.served.clients[f"bidder-{len(self.people)}"] = client
            person = Person(client, f"竞买人{number}", token)
            body = {"terms_version": self.lot()["terms_version"], "display_name": person.name}
            person.registration = made(client.post(f"{API}/lots/{self.lot_id}/registrations", json=body))
            person.bidder_id = person.registration["bidder_id"]
            self.people.append(person)
            checked = self.staff.post(
                f"{API}/bidders/{person.bidder_id}/verification", json={"reference": "K-1"}
            )
            assert checked.status_code == 200, checked.text
            if credit_minor:
                credit = {
                    "amount": {"amount_minor": credit_minor, "currency": "CNY"},
                    "reference": f"in-{token}",
                }
                made(self.staff.post(f"{API}/bidders/{person.bidder_id}/wallet-credits", json=credit))
                held = made(client.post(f"{API}/registrations/{person.registration['id']}/deposit-holds"))
                assert held["registration_state"] == "eligible"

    def open(self) -> None:
        """Let the lot open now."""
        self.shift("starts_at = clock_timestamp() - interval '1 second', next_timer_at = clock_timestamp()")
        self.sweep()
        assert self.lot()["state"] == "open"

    def end(self) -> dict[str, Any]:
        """Let the lot end now, and decide it."""
        self.shift(
            "starts_at = clock_timestamp() - interval '1 hour', planned_end_at = clock_timestamp() - interval '59 s',"
            " ends_at = clock_timestamp() - interval '58 s', next_timer_at = clock_timestamp()"
        )
        self.sweep()
        return self.lot()

    def shift(self, columns: str) -> None:
        with self.served.town.connect() as conn:
            conn.execute(f"UPDATE lot SET {columns} WHERE lot_id = %s", (self.lot_id,))

    def sweep(self) -> None:
        with connect(self.served.town.database_url, name="sweep", autocommit=True) as conn:
            while sweep(conn):
                pass

    def settlement(self) -> dict[str, Any]:
        found: dict[str, Any] = self.staff.get(f"{API}/settlements").json()["items"][0]
        return found

    def sell(self) -> dict[str, Any]:
        """Everything up to the hammer; the second bidder wins at 62,000."""
        self.publish()
        self.come()
        self.open()
        made(self.people[0].bid(self.lot_id, START + STEP))
        made(self.people[1].bid(self.lot_id, START + 2 * STEP, mode="exact"))
        assert self.end()["state"] == "hammered"
        return self.settlement()

    def pay(self) -> str:
        settlement = self.settlement()
        body = {"reference": "bank-1", "amount": settlement["open"]}
        paid = made(self.staff.post(f"{API}/settlements/{settlement['id']}/payments", json=body))
        assert paid["settlement"]["state"] == "paid"
        return str(paid["release_code"])

    def transfer(self) -> None:
        settlement = self.settlement()
        for step in settlement["title_steps"]:
            body = {"state": "done", "evidence": f"E-{step['position']}"}
            answer = self.staff.post(
                f"{API}/settlements/{settlement['id']}/title-steps/{step['step']}", json=body
            )
            assert answer.status_code == 200, answer.text


def made(answer: httpx.Response) -> dict[str, Any]:
    """The body of a 201."""
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a problem, which must be this one."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return body
