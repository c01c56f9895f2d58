"""What is pledged: vehicles, loans, parties and contacts, devices and bindings, consent, branches, staff.

In: imports, the loan system's snapshots and payments, staff edits. Out: the facts every other room
reads; domain events loan.changed, binding.changed, consent.changed.
Tables: org_unit, party, vehicle, loan, loan_payment, device, device_binding, device_command, contact,
contact_attempt, contact_reveal, consent, user_account, api_token, user_session, sign_in_link.
Process: none; a library of api, ingest and the command line.
"""
