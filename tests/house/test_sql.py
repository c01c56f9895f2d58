"""SQL lives in store.py files and core/db; a store never ends the caller's transaction."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import Source, dotted, example, findings, room_files

STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+(RECURSIVE\s+)?\S+(\s*\([^)]*\))?\s+AS\s"
    r"|CREATE\s+(OR\s|TABLE\s|TEMP|UNLOGGED\s|INDEX\s|UNIQUE\s|VIEW\s|MATERIALIZED\s|FUNCTION\s|DATABASE\s|ROLE\s|SCHEMA\s)"
    r"|ALTER\s+(TABLE|ROLE|DATABASE|SYSTEM)\s|DROP\s+\S+\s|TRUNCATE\s|COPY\s+\S+.*\s(FROM|TO)\s|LOCK\s+TABLE\s|MERGE\s+INTO\s)",
    re.DOTALL,
)
RUNNERS = {"execute", "executemany", "copy", "SQL", "stream"}
RUN_AT_ONCE = re.compile(
    r"\s*(select|insert|update|delete|with|create|alter|drop|truncate|copy|lock|merge|set|notify|listen|begin|commit|vacuum)\b",
    re.IGNORECASE,
)
CONNECTION_NAMES = {"conn", "connection", "cur", "cursor", "tx"}


def is_store(path: str) -> bool:
    return path.endswith("/store.py") or "/store/" in path


def may_hold_sql(path: str) -> bool:
    return is_store(path) or path.startswith("core/db/")


def opening(node: ast.AST) -> str:
    """The first literal piece of a string or f-string."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def holds_sql(source: Source) -> Iterator[str]:
    if may_hold_sql(source.path):
        return
    docstrings = {
        id(owner.body[0].value)
        for owner in source.nodes()
        if isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and owner.body
        and isinstance(owner.body[0], ast.Expr)
        and isinstance(owner.body[0].value, ast.Constant)
    }
    for node in source.nodes():
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            runner = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if runner in RUNNERS and node.args and RUN_AT_ONCE.match(opening(node.args[0])):
                yield source.at(node, f"{runner}({opening(node.args[0])[:30]!r}…) outside a store.py")
                continue
        if STATEMENT.match(opening(node)):
            yield source.at(node, f"SQL outside a store.py: {opening(node).strip()[:40]!r}")


def ends_transactions(source: Source) -> Iterator[str]:
    if not is_store(source.path):
        return
    for node in source.nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in {"commit", "rollback", "set_autocommit"}:
                yield source.at(node, f"{node.func.attr}() in a store: the caller owns the transaction")
            elif node.func.attr == "execute" and re.match(
                r"\s*(commit|rollback|begin)\b", opening(node.args[0]) if node.args else "", re.IGNORECASE
            ):
                yield source.at(node, "ends or begins a transaction in a store")


def takes_no_connection(source: Source) -> Iterator[str]:
    if not is_store(source.path):
        return
    for function in source.tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        runs = any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNNERS - {"SQL"}
            and dotted(node.func).split(".")[0] in CONNECTION_NAMES
            for node in ast.walk(function)
        )  # fmt: skip
        arguments = function.args.posonlyargs + function.args.args
        if runs and (not arguments or arguments[0].arg not in CONNECTION_NAMES):
            yield source.at(function, f"{function.name}() runs SQL but does not take a connection first")


def test_sql_is_written_in_stores_and_migrations_only():
    assert findings(holds_sql, room_files()) == []


def test_no_store_ends_a_transaction_it_did_not_begin():
    assert findings(ends_transactions, room_files()) == []


def test_every_store_function_takes_its_connection_first():
    assert findings(takes_no_connection, room_files()) == []


def test_the_sql_lint_finds_statements_however_they_are_run():
    for line in (
        'conn.execute("select 1")',
        'conn.execute(f"UPDATE {table} SET x = 1")',
        'QUERY = """\n  SELECT id\n  FROM vehicle"""',
        'sql.SQL("insert into t values ({})")',
        'Q = "WITH due AS (SELECT 1) DELETE FROM t"',
        'cur.copy("COPY t (a) FROM STDIN")',
    ):
        assert len(findings(holds_sql, example(line))) >= 1, line
        assert findings(holds_sql, example(line, "geofence/store.py")) == [], line


def test_the_sql_lint_reads_prose_as_prose():
    for line in (
        '"""Select the vehicles to watch."""',
        'raise Rejected("Update the device first")',
        'HINT = "CREATE an account"',
        'button("With love")',
    ):
        assert findings(holds_sql, example(line)) == [], line


def test_the_store_lints_find_commits_and_missing_connections():
    store = "def save(row, conn):\n    conn.execute('x')\n    conn.commit()\n"
    assert len(findings(ends_transactions, example(store, "alerts/store.py"))) == 1
    assert len(findings(takes_no_connection, example(store, "alerts/store.py"))) == 1
    good = "def save(conn, row):\n    conn.execute('x')\n"
    assert findings(takes_no_connection, example(good, "alerts/store.py")) == []
