"""Subscriptions with devices, alarms, positions and tracks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("device_id", sa.Text(), primary_key=True),
        sa.Column("topic", sa.Text(), primary_key=True),
        sa.Column("target", sa.Text(), primary_key=True),
        sa.Column("wish", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("dialog", sa.JSON()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger()),
    )
    op.create_table(
        "alarms",
        sa.Column("alarm_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("told_time", sa.BigInteger()),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("priority", "method", "alarm_type", "event_type")),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("longitude", sa.Double()),
        sa.Column("latitude", sa.Double()),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger()),
        sa.Column("note", sa.Text(), nullable=False),
    )
    op.create_index("alarms_by_time", "alarms", ["at", "alarm_id"])
    op.create_index("alarms_by_device", "alarms", ["device_id", "at", "alarm_id"])
    is_open = sa.text("acknowledged_by = ''")
    op.create_index("alarms_open", "alarms", ["at", "alarm_id"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "positions",
        sa.Column("device_id", sa.Text(), primary_key=True),
        sa.Column("channel_id", sa.Text(), primary_key=True),
        sa.Column("position_id", sa.BigInteger(), nullable=False),
        *_position(),
    )
    op.create_table(
        "track_points",
        sa.Column("position_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        *_position(),
    )
    op.create_index("track_points_by_channel", "track_points", ["device_id", "channel_id", "at", "position_id"])


def downgrade() -> None:
    for table in ("track_points", "positions", "alarms", "subscriptions"):
        op.drop_table(table)


def _position() -> list[sa.Column[object]]:
    return [
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Double(), nullable=False)
            for name in ("longitude", "latitude", "told_longitude", "told_latitude")
        ),
        sa.Column("system", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("speed_kmh", "direction_deg", "altitude_m", "height_m")),
        sa.Column("via", sa.Text(), nullable=False),
    ]
