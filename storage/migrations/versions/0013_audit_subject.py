"""An index by which the audit of one agent is found."""

from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_audit_organization_id_subject_at", "audit", ["organization_id", "subject", "at"])


def downgrade() -> None:
    op.drop_index("ix_audit_organization_id_subject_at", "audit")
