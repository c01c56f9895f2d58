"""Fixtures live in files named tests/fix_*.py; add yours to the list."""

pytest_plugins = [
    "tests.fix_stack",
    "tests.fix_api",
    "tests.fix_auction",
    "tests.fix_browser",
    "tests.fix_ingest",
    "tests.fix_gateway",
    "tests.fix_faults",
]
