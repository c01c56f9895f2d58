"""Fixtures live in files named tests/fix_*.py; add yours to the list."""

from hypothesis import settings

# How long an example takes says more about the machine's other work than about ours.
settings.register_profile("pledgewatch", deadline=None)
settings.load_profile("pledgewatch")

pytest_plugins = [
    "tests.fix_stack",
    "tests.fix_api",
    "tests.fix_auction",
    "tests.fix_browser",
    "tests.fix_ingest",
    "tests.fix_gateway",
    "tests.fix_faults",
]
