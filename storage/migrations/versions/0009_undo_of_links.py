"""What a link has brought stands beside its code, so that it can be undone for a day; and what is owed to an
agent is found, so that it goes with them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("link_code", sa.Column("undo", sa.Text(), nullable=True))
    op.create_index(
        "ix_notice_owed_to",
        "notice",
        ["agent_id"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_notice_owed_to", "notice")
    op.drop_column("link_code", "undo")
