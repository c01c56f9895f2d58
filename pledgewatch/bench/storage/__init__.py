"""`bench storage`: last positions from their own table and from the reports; what the columnstore saves.

In: a migrated, empty database of either store. Out: figures. Tables: those of telemetry, filled here.
Process: none; a bench.
"""
