"""Rows of users and of what they did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gb28181.accounts.model import User
from gb28181.clock import to_us
from gb28181.database import tables
from gb28181.database.rows import Rows, text, upsert


class UserRows(Rows):
    """`ports.UserStore`."""

    async def load_user(self, username: str) -> User | None:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.users).where(tables.users.c.username == text(username)))
            row = rows.mappings().first()
            return None if row is None else User(**row)

    async def save_user(self, user: User) -> None:
        row = {
            "username": text(user.username),
            "password_hash": user.password_hash,
            "role": user.role,
            "disabled": user.disabled,
        }
        async with self._engines.durable() as connection:
            await connection.execute(upsert(tables.users, connection.dialect.name), [row])

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
