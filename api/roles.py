"""Who may do what: every operation of the API by name, with the roles that may call it.

A route that is not in this table does not start (api/app.py checks), so a new one cannot be open by
accident. ``PUBLIC`` needs nobody, ``SIGNED_IN`` anybody who is known. Branches narrow further: staff
see their own branch and those below it (api/auth.py: ``Asker.org_ids``).
"""

from __future__ import annotations

from collateral.domain import Role

Roles = frozenset[Role]
A, R, C, P, D, U, M, S = (
    Role.ADMIN, Role.RISK_ANALYST, Role.RECOVERY, Role.RECOVERY_PARTNER,
    Role.DISPOSAL, Role.AUDITOR, Role.DEVICE_MANAGER, Role.SERVICE,
)  # fmt: skip

PUBLIC: Roles = frozenset()
SIGNED_IN: Roles = frozenset(Role)
STAFF: Roles = frozenset({A, R, C, D, U, M, S})
WATCHERS: Roles = frozenset({A, R, C, U, S})
LOCATION: Roles = frozenset({A, R, C, U, M, S})
WORKERS: Roles = frozenset({A, R, C})
FIELD: Roles = frozenset({A, R, C, P, U})
BOOKS: Roles = frozenset({A, R, S})
FITTERS: Roles = frozenset({A, M, S})
FENCERS: Roles = frozenset({A, R})
VALUERS: Roles = frozenset({A, R, D, S})
APPRAISERS: Roles = frozenset({A, R, D})
AUDITORS: Roles = frozenset({A, U})
CALLERS: Roles = frozenset({A, R, C})

SELLERS: Roles = frozenset({A, D})
SALE_READERS: Roles = frozenset({A, D, U})
BIDDERS: Roles = frozenset({Role.BIDDER})

RULES: dict[str, Roles] = {
    # the registry
    "list_vehicles": STAFF,
    "get_vehicle": STAFF,
    "put_vehicle": BOOKS,
    "list_loans": WATCHERS | {D},
    "get_loan": WATCHERS | {D},
    "put_loan": BOOKS,
    "record_payment": BOOKS,
    "list_pledgors": WATCHERS,
    "get_pledgor": WATCHERS,
    "list_contacts": FIELD,
    "reveal_contact": CALLERS,
    "list_reveals": AUDITORS | CALLERS,
    "list_attempts": FIELD,
    "record_attempt": CALLERS,
    "list_consents": WATCHERS,
    "record_consent": BOOKS | {C},
    "revoke_consent": BOOKS | {C},
    "list_devices": STAFF,
    "get_device": STAFF,
    "list_gaps": STAFF,
    "add_device": FITTERS,
    "rotate_device": FITTERS,
    "revoke_device": FITTERS,
    "bind_device": FITTERS,
    "send_command": frozenset({A, C, M}),
    "list_commands": LOCATION,
    "get_command": LOCATION,
    "cancel_command": frozenset({A, C, M}),
    # what happened, where
    "list_positions": LOCATION,
    "stream_positions": LOCATION,
    "get_track": LOCATION,
    "list_stays": LOCATION,
    "list_fences": STAFF,
    "import_fences": FENCERS,
    "map_roads": STAFF,
    "list_findings": WATCHERS,
    # what it is worth
    "list_valuations": STAFF,
    "get_valuation": STAFF,
    "value_now": VALUERS,
    "list_inspections": STAFF,
    "record_inspection": VALUERS | {C},
    "list_manual_appraisals": STAFF,
    "record_manual_appraisal": APPRAISERS,
    "get_portfolio": WATCHERS | {D},
    "list_observations": STAFF,
    "value_form": VALUERS,
    "command_form": frozenset({A, C, M}),
    "command_cancel_form": frozenset({A, C, M}),
    "inspection_form": VALUERS | {C},
    "appraisal_form": APPRAISERS,
    "list_events": AUDITORS | {S},
    # work
    "list_alerts": WATCHERS,
    "stream_alerts": WATCHERS,
    "get_alert": WATCHERS,
    "alert_history": WATCHERS,
    "acknowledge_alert": WORKERS,
    "assign_alert": WORKERS,
    "resolve_alert": WORKERS,
    "dismiss_alert": WORKERS,
    "list_cases": FIELD,
    "open_case": WORKERS,
    "get_case": FIELD,
    "add_case_note": FIELD - {U},
    "close_case": WORKERS,
    "get_recovery": FIELD,
    "move_case": FIELD - {U},
    "record_ground": WORKERS,
    "approve_ground": frozenset({A, R}),
    "withdraw_ground": WORKERS,
    "add_photo": FIELD - {U},
    "get_photo": FIELD | {D},
    "record_intake": FIELD - {U},
    "add_belonging": FIELD - {U},
    "return_belonging": FIELD - {U},
    "release_vehicle": WORKERS,
    "create_crew_link": WORKERS,
    "list_crew_links": WORKERS | {U},
    "revoke_crew_link": WORKERS,
    "list_yards": STAFF | {P},
    "put_yard": WORKERS,
    "list_audit": AUDITORS,
    "whoami": SIGNED_IN,
    # the sale: lots are public, whoever sells may not bid, whoever bids sees only their own
    "list_lots": PUBLIC,
    "get_lot": PUBLIC,
    "get_protocol": PUBLIC,
    "list_bids": PUBLIC,
    "lot_events": PUBLIC,
    "server_time": PUBLIC,
    "place_bid": BIDDERS,
    "my_bids": BIDDERS,
    "my_registrations": BIDDERS,
    "register_for_lot": BIDDERS,
    "get_registration": SALE_READERS | BIDDERS,
    "hold_deposit": SELLERS | BIDDERS,
    "list_registrations": SALE_READERS,
    "bar_registration": SELLERS,
    "list_disposal_cases": SALE_READERS,
    "get_disposal_case": SALE_READERS,
    "open_disposal_case": SELLERS,
    "set_basis": SELLERS,
    "set_appraisal": SELLERS,
    "draft_lot": SELLERS,
    "add_cost": SELLERS,
    "set_lender_claim": SELLERS,
    "add_junior_claim": SELLERS,
    "edit_lot": SELLERS,
    "move_lot": SELLERS,
    "list_approvals": SALE_READERS,
    "decide_approval": SELLERS,
    "list_bidders": SALE_READERS,
    "verify_bidder": SELLERS,
    "credit_wallet": SELLERS | {S},
    "exclude_bidder": SELLERS,
    "list_settlements": SALE_READERS,
    "get_settlement": SALE_READERS | BIDDERS,
    "get_waterfall": SALE_READERS,
    "record_settlement_payment": SELLERS | {S},
    "new_release_code": SELLERS,
    "ask_for_extension": SELLERS,
    "set_title_step": SELLERS,
    "hand_over": SELLERS,
    "close_settlement": SELLERS,
    "lots_page": PUBLIC,
    "lot_page": PUBLIC,
    "console_page": SALE_READERS,
    "console_case_page": SALE_READERS,
    # pages
    "sign_in_page": PUBLIC,
    "sign_in": PUBLIC,
    "sign_in_by_link": PUBLIC,
    "choose_language": PUBLIC,
    "sign_out": SIGNED_IN,
    "live_page": STAFF | {P} | BIDDERS,
    "inbox_fragment": WATCHERS,
    "alert_fragment": WATCHERS,
    "alerts_page": WATCHERS,
    "vehicles_page": STAFF,
    "vehicle_page": STAFF,
    "cases_page": FIELD,
    "case_page": FIELD,
    "case_note_form": FIELD - {U},
    "case_attempt_form": CALLERS,
    "case_reveal_form": CALLERS,
    "case_close_form": WORKERS,
    "recovery_move_form": FIELD - {U},
    "recovery_ground_form": WORKERS,
    "recovery_decision_form": frozenset({A, R}),
    "recovery_withdraw_form": WORKERS,
    "recovery_photo_form": FIELD - {U},
    "recovery_intake_form": FIELD - {U},
    "recovery_belonging_form": FIELD - {U},
    "recovery_return_form": FIELD - {U},
    "recovery_link_form": WORKERS,
    "recovery_revoke_form": WORKERS,
    "crew_page": PUBLIC,
    "crew_visit_failed": PUBLIC,
    "crew_recovered": PUBLIC,
    "crew_photo": PUBLIC,
    "crew_belonging": PUBLIC,
    "crew_arrived": PUBLIC,
    # machines
    "live": PUBLIC,
    "ready": PUBLIC,
    "metrics": PUBLIC,
    "openapi_document": PUBLIC,
}
