"""Any input at all: no route may crash, and every answer is one that the document allows."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from api.document import describe
from api.roles import PUBLIC, RULES
from collateral.domain import Role
from tests.api.sale_scene import Sale

pytestmark = [pytest.mark.db, pytest.mark.slow]

EXAMPLES = int(os.environ.get("PLEDGEWATCH_FUZZ_EXAMPLES", "5"))
STREAMS = {"/api/v1/alerts/stream", "/api/v1/positions/stream"}
"""They do not end; tests/api/test_streams.py has their bad input."""
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REAL: dict[str, list[Any]] = {
    "vehicle_id": ["V1", "V5"], "loan_id": ["L1", "L5"], "party_id": ["P1", "P5"], "device_id": ["D1", "D5"],
    "contact_id": [1, 2], "consent_id": [1],
}  # fmt: skip

schema = schemathesis.openapi.from_dict(describe())


def operations() -> list[tuple[str, str]]:
    return [
        (path, method)
        for path, methods in describe()["paths"].items()
        if path not in STREAMS
        for method in methods
    ]


def stage(sale: Sale) -> dict[str, list[Any]]:
    """One vehicle sold and unpaid, another on sale with a question open: what the routes of a sale are about."""
    settlement = sale.sell()
    sold, sold_case, winner = sale.lot_id, sale.case_id, sale.people[1]
    sale.open_case("V2")
    sale.prepare()
    sale.draft()
    sale.move(sale.staff, "submit")
    sale.move(sale.other, "publish")
    sale.come(1)
    sale.open()
    question = sale.move(sale.staff, "suspend", reason="x").json()["approval"]["id"]
    return {
        "lot_id": [sold, sale.lot_id], "case_id": [sold_case, sale.case_id], "settlement_id": [settlement["id"]],
        "registration_id": [winner.registration["id"], sale.people[2].registration["id"]],
        "bidder_id": [person.bidder_id for person in sale.people], "approval_id": [question],
        "step": ["keys", "insurance"],
    }  # fmt: skip


def allowed(case: Case, role: Role) -> bool:
    operation: str = case.operation.definition.raw["operationId"]
    return RULES[operation] is PUBLIC or role in RULES[operation]


# The pool of the server in this process draws jitter from the global random while a case is drawn;
# hypothesis takes that for the strategy's doing.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"]
)
def test_no_route_crashes_and_every_answer_is_as_documented(sale: Sale, mode: GenerationMode):
    served = sale.served
    on_sale = stage(sale)
    ids: dict[str, list[Any]] = REAL | on_sale
    ids["alert_id"] = [item["id"] for item in served.as_("admin").get("/api/v1/alerts").json()["items"]]
    chance = random.Random(7)
    seen: dict[str, set[int]] = {}

    def send(case: Case) -> None:
        for name, values in ids.items():
            # Half of the requests are about something that exists; most made-up ids end in a 404.
            if (
                mode is GenerationMode.POSITIVE
                # A disposal case is another thing than the case of a recovery.
                and (name != "case_id" or case.path.startswith("/api/v1/disposal-cases"))
                and name in (case.path_parameters or {})
                and chance.random() < 0.7
            ):
                case.path_parameters[name] = chance.choice(values)
        who = served.town.tokens["admin"] if allowed(case, Role.ADMIN) else sale.people[0].token
        bearer = {"Authorization": f"Bearer {who}"}
        answer = case.call(base_url=served.base_url, headers=bearer)
        case.validate_response(answer, checks=CHECKS)
        seen.setdefault(case.operation.label, set()).add(answer.status_code)

    for path, method in operations():
        strategy = schema[path][method].as_strategy(generation_mode=mode)
        settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
        )(given(case=strategy)(send))()  # fmt: skip
    if mode is GenerationMode.POSITIVE:
        assert len(seen) == len(operations())
        answered = [label for label, codes in seen.items() if codes & {200, 201}]
        assert len(answered) > len(seen) / 2, "a fuzz that only ever gets refused proves nothing"
