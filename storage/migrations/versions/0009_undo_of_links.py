"""What a link has brought stands beside its code, so that it can be undone for a day."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("link_code", sa.Column("undo", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("link_code", "undo")
