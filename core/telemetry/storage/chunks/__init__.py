"""Chunks of the hypertable and their way into the columnstore (TimescaleDB only).

In: telemetry time. Out: chunks compressed, late rows counted. Table: telemetry_columnstore.
Process: a job of ingest.
"""
