"""Whether a channel was ever on (its place of a recorder may be unused), and its further elements as the text they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # What was stored before stays visible: nothing is known of it.
    op.add_column("channels", sa.Column("seen_on", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("channels") as table:
        table.alter_column("item", existing_type=sa.JSON(), type_=sa.Text(), postgresql_using="item::text")


def downgrade() -> None:
    op.execute("UPDATE channels SET item = '{}' WHERE item = ''")
    with op.batch_alter_table("channels") as table:
        table.alter_column("item", existing_type=sa.Text(), type_=sa.JSON(), postgresql_using="item::json")
    op.drop_column("channels", "seen_on")
