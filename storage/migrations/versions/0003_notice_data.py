"""A notice may say something of its own, such as who set somebody's presence."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("data", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("notice", "data")
