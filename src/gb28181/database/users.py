"""Rows of users and of what they did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gb28181.accounts.model import AuditEntry, User
from gb28181.clock import from_us, to_us
from gb28181.database import tables
from gb28181.database.rows import Rows, text, upsert


class UserRows(Rows):
    """`ports.UserStore`."""

    async def load_user(self, username: str) -> User | None:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.users).where(tables.users.c.username == text(username)))
            row = rows.mappings().first()
            return None if row is None else User(**row)

    async def load_users(self) -> list[User]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.users).order_by(tables.users.c.username))
            return [User(**row) for row in rows.mappings()]

    async def save_user(self, user: User) -> None:
        row = {
            "username": text(user.username),
            "password_hash": user.password_hash,
            "role": user.role,
            "disabled": user.disabled,
        }
        async with self._engines.durable() as connection:
            await connection.execute(upsert(tables.users, connection.dialect.name), [row])

    async def delete_user(self, username: str) -> None:
        async with self._engines.durable() as connection:
            await connection.execute(sa.delete(tables.users).where(tables.users.c.username == text(username)))

    async def add_audit(self, at: datetime, user: str, action: str, target: str, detail: Mapping[str, Any]) -> None:
        row = {
            "at": to_us(at),
            "username": text(user),
            "action": text(action),
            "target": text(target),
            "detail": dict(detail),
        }
        async with self._engines.durable() as connection:
            await connection.execute(sa.insert(tables.audit), [row])

    async def audit_page(self, *, limit: int, before: int | None = None, user: str = "", action: str = "") -> list[AuditEntry]:
        columns = tables.audit.c
        # The number rises with the time, and the primary key is the cheapest order there is.
        query = sa.select(tables.audit).order_by(columns.audit_id.desc()).limit(limit)
        if before is not None:
            query = query.where(columns.audit_id < before)
        if user:
            query = query.where(columns.username == text(user))
        if action:
            query = query.where(columns.action == text(action))
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            AuditEntry(row["audit_id"], from_us(row["at"]), row["username"], row["action"], row["target"], row["detail"])
            for row in rows
        ]
