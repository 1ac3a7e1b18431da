"""Keys of some teams, and with a second secret for a while; slugs of before; answers to be given again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("teams", sa.Text(), nullable=True))
    op.add_column("api_key", sa.Column("rotated_at", sa.BigInteger(), nullable=True))
    op.add_column("api_key", sa.Column("old_hash", sa.LargeBinary(), nullable=True))
    op.add_column("api_key", sa.Column("old_until", sa.BigInteger(), nullable=True))
    op.add_column("team", sa.Column("aliases", sa.Text(), nullable=True))
    op.add_column("skill", sa.Column("aliases", sa.Text(), nullable=True))
    op.add_column("delivery", sa.Column("answer", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("delivery", "answer")
    op.drop_column("skill", "aliases")
    op.drop_column("team", "aliases")
    for column in ("old_until", "old_hash", "rotated_at", "teams"):
        op.drop_column("api_key", column)
