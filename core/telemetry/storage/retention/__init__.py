"""Retention: whole days (chunks, partitions) of reports go, then hours, then days of rollups.

In: the periods of the policy pack, holds, vehicles with an open recovery. Out: what is left.
Table: telemetry_held. Process: a job of ingest.
"""
