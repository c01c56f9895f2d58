"""PostgreSQL: pools, the migration runner, and whether TimescaleDB is there.

In: a database URL. Out: connections and a migrated schema.
Tables: schema_migration. Process: none; `pledgewatch migrate` calls the runner.
"""
