"""Connections of the tests of the books: autocommit, so that each action is a transaction of its own.

books_url, conn   one database per file: every scene is new and whole, so they can stand side by side
fresh_conn        a database of the test's own, for what counts everything or breaks the books
"""

from collections.abc import Iterator

import pytest

from core.db.pool import Connection, connect
from tests.fix_stack import TemplateDatabase, migrated_database


@pytest.fixture(scope="module")
def books_url(postgres_server: str, template_db: TemplateDatabase) -> Iterator[str]:
    with migrated_database(postgres_server, template_db, "books") as url:
        yield url


@pytest.fixture
def conn(books_url: str) -> Iterator[Connection]:
    with connect(books_url, name="books", autocommit=True) as connection:
        yield connection


@pytest.fixture
def fresh_conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="fresh-books", autocommit=True) as connection:
        yield connection
