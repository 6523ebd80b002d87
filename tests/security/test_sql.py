"""Nothing that a stranger wrote becomes part of a statement."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.adapters.stores import ACCOUNTS, Clock, sql_stores
from transfer.adapters.sql.engine import Database
from transfer.adapters.sql.setup import upgrade

ROOT = Path(__file__).resolve().parents[2]
OURS = {"DeliveryState", "value", "how"}
"""An enum's value, and how a transaction begins on SQLite."""
HOSTILE = [
    "x' OR '1'='1",
    "'; DROP TABLE evidence; --",
    '" OR ""="',
    "1 UNION SELECT * FROM persons",
    "%",
    "_",
    "\\",
    ":name",
    "%(name)s",
]


def test_no_statement_is_put_together_of_texts() -> None:
    """A statement is SQLAlchemy's, or a text of ours with constants in it."""
    found = []
    for path in ROOT.glob("transfer/adapters/sql/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func).rsplit(".", 1)[-1]
            if name in {"text", "exec_driver_sql", "literal_column"}:
                names = {
                    one.id if isinstance(one, ast.Name) else one.attr
                    for one in ast.walk(node.args[0])
                    if isinstance(one, ast.Name | ast.Attribute)
                }
                if any(not one.lstrip("_").isupper() for one in names - OURS):
                    found.append(f"{path.name}:{node.lineno}: {ast.unparse(node.args[0])}")
    assert found == []


async def test_a_hostile_name_is_a_name(tmp_path: Path) -> None:
    """On SQLite; PostgreSQL is given the same statements, and the values beside them too."""
    url = f"sqlite:///{tmp_path / 'transfer.db'}"
    await upgrade(url)
    database = Database(url)
    stores = sql_stores(database, Clock())
    try:
        await stores.accounts.load(ACCOUNTS)
        for name in HOSTILE:
            assert await stores.accounts.holder(name) is None
            assert await stores.accounts.owner(name) is None
            assert await stores.accounts.administrators([name]) == {name: ()}
            assert await stores.desk.read([name]) == {}
            assert await stores.ledger.keys(name) == ()
            assert (await stores.accounts.facts(name, name)).customer is None
        assert await stores.accounts.holder("acme") is not None
    finally:
        await database.close()
