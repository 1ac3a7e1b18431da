"""Working hours of agents and teams."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent", sa.Column("hours", sa.Text(), nullable=True))
    op.add_column("team", sa.Column("hours", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("team", "hours")
    op.drop_column("agent", "hours")
