"""The door for people and programs: REST, event streams, and the pages (api/web).

In: HTTP requests of staff (session cookie) and programs (bearer token).
Out: JSON, problem+json, SSE, pages; every read of a location leaves a row in view_log.
Tables: view_log, idempotency_key, sign_in_failure.
Process: `python -m api`.
"""
