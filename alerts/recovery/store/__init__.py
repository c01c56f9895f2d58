"""SQL of the recovery tables, one file for each step. Process: none."""
