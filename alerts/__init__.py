"""Findings (facts) become alerts (work): one live alert per vehicle, rule and scope.

In: the append-only `finding` table, loan facts, people's actions.
Out: alerts with history, cases, deliveries to webhooks and chat services, the live stream.
Tables: finding, alert, alert_event, case_file, case_note, contact_attempt links, delivery.
Process: `python -m alerts`.
"""
