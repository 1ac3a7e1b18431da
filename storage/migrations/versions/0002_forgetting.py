"""Indexes by which old rows are found, so that forgetting them reads nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_delivery_keep_until", "delivery")
    op.create_index("ix_delivery_organization_id_keep_until", "delivery", ["organization_id", "keep_until"])
    op.drop_index("ix_load_report_organization_id", "load_report")
    op.create_index(
        "ix_load_report_organization_id_expires_at", "load_report", ["organization_id", "expires_at"]
    )
    op.create_index(
        "ix_notice_finished",
        "notice",
        ["organization_id", "finished_at"],
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_summary_post_organization_id_claimed_until", "summary_post", ["organization_id", "claimed_until"]
    )
    op.create_index(
        "ix_interval_closed",
        "interval",
        ["organization_id", "ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_interval_closed", "interval")
    op.drop_index("ix_summary_post_organization_id_claimed_until", "summary_post")
    op.drop_index("ix_notice_finished", "notice")
    op.drop_index("ix_load_report_organization_id_expires_at", "load_report")
    op.create_index("ix_load_report_organization_id", "load_report", ["organization_id"])
    op.drop_index("ix_delivery_organization_id_keep_until", "delivery")
    op.create_index("ix_delivery_keep_until", "delivery", ["keep_until"])
