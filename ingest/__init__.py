"""Devices speak, ingest listens: validated, de-duplicated, committed; acknowledged only after COMMIT.

In: MQTT messages of the slots this process leases. Out: reports in core/telemetry's tables, findings
through the rule engine (a library here), refusals with reasons, one ledger row per batch.
Tables: quarantine, dead_letter, ingest_ledger, ingest_incident; slots/ and gateways/ name their own.
Process: `python -m ingest`, as many as you like; a slot is served by one at a time. One per gateway.
"""
