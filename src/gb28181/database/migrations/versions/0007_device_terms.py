"""Terms of a device's registration, its clock, and when each of its faults was seen last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_SWITCH = "ignore_notified_status"


def upgrade() -> None:
    op.add_column("devices", sa.Column("edition_hint", sa.Text(), nullable=False, server_default=""))
    op.add_column("devices", sa.Column("networks", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("devices", sa.Column("redirect", sa.Text(), nullable=False, server_default=""))
    op.add_column("devices", sa.Column("clock_offset_s", sa.Double(), nullable=True))
    op.add_column("devices", sa.Column("clock_offset_at", sa.BigInteger(), nullable=True))
    # Until now every device was written with this switch; only where it is on has an operator said so.
    _rewrite("profile", lambda profile: {_SWITCH: True} if profile.get(_SWITCH) else {})
    _rewrite("faults", lambda faults: {name: [count, None, ""] for name, count in faults.items()})


def downgrade() -> None:
    _rewrite("faults", lambda faults: {name: entry[0] for name, entry in faults.items()})
    _rewrite("profile", lambda profile: {_SWITCH: bool(profile.get(_SWITCH))})
    for column in ("clock_offset_at", "clock_offset_s", "redirect", "networks", "edition_hint"):
        op.drop_column("devices", column)


def _rewrite(column: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    devices = sa.table("devices", sa.column("device_id", sa.Text), sa.column(column, sa.JSON))
    connection = op.get_bind()
    rows = connection.execute(sa.select(devices.c.device_id, devices.c[column])).all()
    if rows:
        changed = sa.update(devices).where(devices.c.device_id == sa.bindparam("one")).values({column: sa.bindparam("new")})
        connection.execute(changed, [{"one": device_id, "new": change(old)} for device_id, old in rows])
