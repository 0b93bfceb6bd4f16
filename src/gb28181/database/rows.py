"""What the row files share: their connections, and conversions between Python values and columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gb28181.clock import from_us, to_us

if TYPE_CHECKING:
    from gb28181.database.engine import Engines
    from gb28181.database.write_behind import WriteBehind

Row = dict[str, Any]


class Rows:
    """The connections that each store works on."""

    _engines: Engines
    _behind: WriteBehind


def text(value: str) -> str:
    """Text that both backends store: PostgreSQL refuses NUL, and neither takes half a surrogate pair."""
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def moment(value: int | None) -> datetime | None:
    return None if value is None else from_us(value)


def microseconds(value: datetime | None) -> int | None:
    return None if value is None else to_us(value)


def insert(table: sa.Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def upsert(table: sa.Table, dialect: str) -> sa.Insert:
    """INSERT that replaces every other column of a row with the same primary key; for `execute(statement, rows)`."""
    statement = insert(table, dialect)
    keys = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return cast("sa.Insert", statement.on_conflict_do_update(index_elements=keys, set_=changed))


def insert_new(table: sa.Table, dialect: str, unique: Sequence[str], where: sa.TextClause | None = None) -> sa.Insert:
    """INSERT that leaves a row with the same unique columns alone."""
    statement = insert(table, dialect)
    return cast("sa.Insert", statement.on_conflict_do_nothing(index_elements=list(unique), index_where=where))
