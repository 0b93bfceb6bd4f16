"""What operators set where a device is treated otherwise than the rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("devices", sa.Column("profile", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("devices", "profile")
