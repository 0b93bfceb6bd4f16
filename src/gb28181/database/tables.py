"""The tables, one definition for SQLite and PostgreSQL.

Every moment is a BIGINT of UTC microseconds: exact, ordered, and without a time zone that a driver could apply. Recording
rows name their channel and volume by number (`tracks`, `volumes`), because five million copies of two 20-digit codes and a
folder would be most of the index. There are no foreign keys: recordings outlive the device that made them.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()

#: SQLite gives only INTEGER PRIMARY KEY a row number by itself.
Number: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

devices: Final = sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("manufacturer", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("firmware", sa.Text, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("gb_version", sa.Text, nullable=False),
    sa.Column("password", sa.LargeBinary),
    sa.Column("registration", sa.JSON(none_as_null=True)),
    sa.Column("last_seen_at", sa.BigInteger),
    sa.Column("keepalive_interval_s", sa.Double, nullable=False),
    sa.Column("media_transport", sa.Text, nullable=False),
    sa.Column("catalog_at", sa.BigInteger),
    sa.Column("catalog_announced", sa.BigInteger, nullable=False),
    sa.Column("catalog_received", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("faults", sa.JSON, nullable=False),
    sa.Column("profile", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("edition_hint", sa.Text, nullable=False, server_default=""),
    sa.Column("networks", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("redirect", sa.Text, nullable=False, server_default=""),
    sa.Column("clock_offset_s", sa.Double),
    sa.Column("clock_offset_at", sa.BigInteger),
)

channels: Final = sa.Table(
    "channels",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("manufacturer", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("civil_code", sa.Text, nullable=False),
    sa.Column("parent_id", sa.Text, nullable=False),
    sa.Column("parental", sa.Boolean, nullable=False),
    sa.Column("status_on", sa.Boolean, nullable=False),
    sa.Column("longitude", sa.Double),
    sa.Column("latitude", sa.Double),
    sa.Column("ptz_type", sa.BigInteger, nullable=False),
    sa.Column("is_gone", sa.Boolean, nullable=False),
    sa.Column("missed", sa.BigInteger, nullable=False),
    sa.Column("synthetic", sa.Boolean, nullable=False),
    sa.Column("seen_on", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("updated_at", sa.BigInteger),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("recording_mode", sa.Text, nullable=False),
    sa.Column("retention_hours", sa.Double, nullable=False),
)

streams: Final = sa.Table(
    "streams",
    metadata,
    sa.Column("stream_id", sa.Text, primary_key=True),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("ingest", sa.Text, nullable=False),
    sa.Column("ingest_epoch", sa.BigInteger, nullable=False),
    sa.Column("transport", sa.Text, nullable=False),
    sa.Column("receiver_port", sa.Integer, nullable=False),
    sa.Column("ssrc", sa.BigInteger, nullable=False),
    sa.Column("dialog", sa.JSON, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("closing", sa.Boolean, nullable=False),
)

#: One row a channel that was ever recorded. `longest_us` and `longest_gap_us` bound how far before a moment a segment or
#: gap that covers it can begin, so that a query by time reads a range of the index and not all that came before.
tracks: Final = sa.Table(
    "tracks",
    metadata,
    sa.Column("track_id", Number, primary_key=True),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("longest_us", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("longest_gap_us", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("tracks_by_channel", "device_id", "channel_id", unique=True),
)

volumes: Final = sa.Table(
    "volumes",
    metadata,
    sa.Column("volume_id", Number, primary_key=True),
    sa.Column("root", sa.Text, nullable=False),
    sa.Index("volumes_by_root", "root", unique=True),
)

segments: Final = sa.Table(
    "segments",
    metadata,
    sa.Column("segment_id", Number, primary_key=True),
    sa.Column("track_id", sa.BigInteger, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("end_us", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("volume_id", sa.BigInteger, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("end_cause", sa.Text, nullable=False),
    sa.Column("lost", sa.BigInteger, nullable=False),
    sa.Column("key_frames", sa.BigInteger, nullable=False),
    sa.Column("adopted", sa.Boolean, nullable=False),
    # Holds what calendars and timelines sum up, so that a month of a channel is read from neighbouring pages.
    sa.Index("segments_by_time", "track_id", "start_us", "segment_id", "end_us", "bytes", "end_cause"),
    sa.Index("segments_by_age", "volume_id", "start_us"),
    sa.Index("segments_by_path", "volume_id", "path", unique=True),
    sqlite_autoincrement=True,  # a number is never given twice: links and pages name segments by it
)

gaps: Final = sa.Table(
    "gaps",
    metadata,
    sa.Column("gap_id", Number, primary_key=True),
    sa.Column("track_id", sa.BigInteger, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("end_us", sa.BigInteger, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Index("gaps_by_time", "track_id", "start_us"),
    sa.Index("gaps_by_end", "end_us"),
    # At most one gap of a channel is open, and it is found without reading the closed ones.
    sa.Index("gaps_open", "track_id", unique=True, sqlite_where=sa.text("end_us = 0"), postgresql_where=sa.text("end_us = 0")),
)

users: Final = sa.Table(
    "users",
    metadata,
    sa.Column("username", sa.Text, primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
)

audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", Number, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Index("audit_by_time", "at"),
)

#: What devices were told to do that takes minutes: reboot, format, upgrade, snapshots. `order_id` is the SessionID.
device_orders: Final = sa.Table(
    "device_orders",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ordered_at", sa.BigInteger, nullable=False),
    sa.Column("deadline", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Index("device_orders_by_time", "ordered_at"),
)

#: What is wanted of a device beside the configuration, and the dialogs that stand; removed with the device.
subscriptions: Final = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("wish", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("dialog", sa.JSON(none_as_null=True)),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("registration", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("changed_at", sa.BigInteger),
)

#: `alarm_id` is the microsecond of arrival, made unique: old ones are a range of the primary key.
alarms: Final = sa.Table(
    "alarms",
    metadata,
    sa.Column("alarm_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("told_time", sa.BigInteger),
    sa.Column("priority", sa.BigInteger, nullable=False),
    sa.Column("method", sa.BigInteger, nullable=False),
    sa.Column("alarm_type", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("longitude", sa.Double),
    sa.Column("latitude", sa.Double),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    sa.Column("acknowledged_by", sa.Text, nullable=False),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("note", sa.Text, nullable=False),
    sa.Index("alarms_by_time", "at", "alarm_id"),
    sa.Index("alarms_by_device", "device_id", "at", "alarm_id"),
    # The few that wait for somebody are found without reading those that were seen to.
    sa.Index(
        "alarms_open",
        "at",
        "alarm_id",
        sqlite_where=sa.text("acknowledged_by = ''"),
        postgresql_where=sa.text("acknowledged_by = ''"),
    ),
)

_POSITION: Final = (
    ("at", sa.BigInteger, False),
    ("received_at", sa.BigInteger, False),
    ("longitude", sa.Double, False),
    ("latitude", sa.Double, False),
    ("told_longitude", sa.Double, False),
    ("told_latitude", sa.Double, False),
    ("system", sa.Text, False),
    ("speed_kmh", sa.Double, True),
    ("direction_deg", sa.Double, True),
    ("altitude_m", sa.Double, True),
    ("height_m", sa.Double, True),
    ("via", sa.Text, False),
)

#: Where each channel is now; removed with its device.
positions: Final = sa.Table(
    "positions",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("position_id", sa.BigInteger, nullable=False),
    *(sa.Column(name, kind, nullable=nullable) for name, kind, nullable in _POSITION),
)

#: Where channels were; numbered as alarms are.
track_points: Final = sa.Table(
    "track_points",
    metadata,
    sa.Column("position_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    *(sa.Column(name, kind, nullable=nullable) for name, kind, nullable in _POSITION),
    sa.Index("track_points_by_channel", "device_id", "channel_id", "at", "position_id"),
)
