"""Findings (facts) become alerts (work): one live alert per vehicle, rule and scope.

In: the append-only `finding` table, loan facts, people's actions.
Out: alerts with their history (which the API streams), cases, deliveries to webhooks and chat services.
Tables: finding, alert, alert_finding, alert_event, delivery, those of cases/ and of recovery/.
Process: `python -m alerts`.
"""
