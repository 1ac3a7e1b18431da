"""Codes by which accounts on two platforms come to be one agent."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent", sa.Column("merged_into", sa.Text(), nullable=True))
    op.create_table(
        "link_code",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_link_code_tries")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_link_code_agent_id")),
        sa.PrimaryKeyConstraint("organization_id", "name", name=op.f("pk_link_code")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_link_code_agent_id"), "link_code", ["agent_id"])
    op.create_index("ix_link_code_organization_id_expires_at", "link_code", ["organization_id", "expires_at"])
    op.create_table(
        "link_try",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "person", name=op.f("pk_link_try")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_link_try_organization_id_until_at", "link_try", ["organization_id", "until_at"])


def downgrade() -> None:
    op.drop_table("link_try")
    op.drop_table("link_code")
    op.drop_column("agent", "merged_into")
