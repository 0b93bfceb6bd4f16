"""Calendars and the gaps of the last day are summed from indexes."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_index("segments_by_time", table_name="segments")
    columns = ["track_id", "start_us", "segment_id", "end_us", "bytes", "end_cause"]
    op.create_index("segments_by_time", "segments", columns, unique=False)
    op.create_index("gaps_by_end", "gaps", ["end_us"], unique=False)


def downgrade() -> None:
    op.drop_index("gaps_by_end", table_name="gaps")
    op.drop_index("segments_by_time", table_name="segments")
    op.create_index("segments_by_time", "segments", ["track_id", "start_us", "segment_id"], unique=False)
