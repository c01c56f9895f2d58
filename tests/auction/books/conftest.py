"""The connection of the tests of the books: autocommit, so that each action is a transaction of its own."""

from collections.abc import Iterator

import pytest

from core.db.pool import Connection, connect


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="books", autocommit=True) as connection:
        yield connection
