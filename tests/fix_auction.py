"""Fixtures for auction tests.

sales_database_url  module    a fresh, migrated database that the tests of one file share
sales_db            function  a connection to it whose work is rolled back: tests do not see each other
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.db.pool import Connection, connect
from tests.fix_stack import TemplateDatabase, migrated_database


@pytest.fixture(scope="module")
def sales_database_url(postgres_server: str, template_db: TemplateDatabase) -> Iterator[str]:
    with migrated_database(postgres_server, template_db, "sales") as url:
        yield url


@pytest.fixture
def sales_db(sales_database_url: str) -> Iterator[Connection]:
    with connect(sales_database_url, name="test") as connection:
        yield connection
        connection.rollback()
