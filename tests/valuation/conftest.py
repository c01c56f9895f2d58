"""A database that the tests of one file share.

market_url  module  URL of a migrated database
market_db   function  a connection to it, rolled back afterwards
"""

import pytest

from core.db.pool import connect
from tests.fix_stack import migrated_database


@pytest.fixture(scope="module")
def market_url(postgres_server, template_db):
    """One database for the whole file: making one takes longer than most of these tests."""
    with migrated_database(postgres_server, template_db, "market") as url:
        yield url


@pytest.fixture
def market_db(market_url):
    with connect(market_url, name="test") as connection:
        yield connection
        connection.rollback()
