"""Foreign tables in, our columns out; shared by `market import`, the connectors and `value`.

In: CSV, CSV.GZ or Parquet and a mapping (TOML). Out: a table of OBSERVATION_SCHEMA, with a fault or
none per row. Tables: none, no database at all. Process: none.
"""
