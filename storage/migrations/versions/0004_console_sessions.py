"""Console sessions: links that are a console's instead of an identity's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_session",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('connected', 'suspect', 'idle', 'disconnected')",
            name=op.f("ck_console_session_state"),
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_console_session_agent_id")),
        sa.ForeignKeyConstraint(["feed_id"], ["workspace.id"], name=op.f("fk_console_session_feed_id")),
        sa.PrimaryKeyConstraint("agent_id", "key", name=op.f("pk_console_session")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_console_session_organization_id"), "console_session", ["organization_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_console_session_organization_id"), "console_session")
    op.drop_table("console_session")
