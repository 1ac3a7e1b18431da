"""What an Away is for, by the organization's code, beside what was typed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    ("presence", "intent_reason_code"),
    ("presence", "base_reason_code"),
    ("presence", "reason_code"),
    ("interval", "reason_code"),
)


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))


def downgrade() -> None:
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column)
