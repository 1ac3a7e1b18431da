"""Each organization's bot has its own count of identifies."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

SERVED = "SELECT id FROM organization WHERE slug = 'default'"
"""The one that was served until now, whose bot all that were counted are."""


def upgrade() -> None:
    counted = op.get_bind().execute(sa.text("SELECT at FROM identify ORDER BY id")).scalars().all()
    served = op.get_bind().execute(sa.text(SERVED)).scalar()
    op.drop_table("identify")
    made = op.create_table(
        "identify",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identify")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_identify_organization_id_at", "identify", ["organization_id", "at"])
    if served is not None:
        op.bulk_insert(made, [{"organization_id": served, "at": at} for at in counted])


def downgrade() -> None:
    counted = op.get_bind().execute(sa.text("SELECT at FROM identify ORDER BY id")).scalars().all()
    op.drop_table("identify")
    made = op.create_table(
        "identify",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identify")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_identify_at"), "identify", ["at"])
    op.bulk_insert(made, [{"at": at} for at in counted])
