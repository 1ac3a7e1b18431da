"""The start: everything presence needs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_organization_id_at", "audit", ["organization_id", "at"])
    op.create_table(
        "commit_mark",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("marked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_commit_mark")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("keep_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("pk_delivery")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_delivery_keep_until"), "delivery", ["keep_until"])
    op.create_table(
        "event",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event")),
        sa.UniqueConstraint("id", name=op.f("uq_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_organization_id_position", "event", ["organization_id", "position"])
    op.create_table(
        "identify",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identify")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_identify_at"), "identify", ["at"])
    op.create_table(
        "organization",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("slug", name=op.f("uq_organization_slug")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "setting",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("pk_setting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "summary_post",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "schedule", "slot", name=op.f("pk_summary_post")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "agent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("zone_by_hand", sa.Boolean(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('agent', 'lead')", name=op.f("ck_agent_role")),
        sa.CheckConstraint("capacity >= 0", name=op.f("ck_agent_capacity")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_agent_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_agent_organization_id"), "agent", ["organization_id"])
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_api_key_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_api_key_organization_id"), "api_key", ["organization_id"])
    op.create_table(
        "skill",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_skill_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "slug", name=op.f("pk_skill")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "team",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_team_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "slug", name=op.f("pk_team")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workspace",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_workspace_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace")),
        sa.UniqueConstraint(
            "organization_id", "platform", "external_id", name=op.f("uq_workspace_organization_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "agent_skill",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("skill_slug", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_agent_skill_agent_id")),
        sa.ForeignKeyConstraint(
            ["organization_id", "skill_slug"],
            ["skill.organization_id", "skill.slug"],
            name=op.f("fk_agent_skill_organization_id"),
        ),
        sa.PrimaryKeyConstraint("agent_id", "skill_slug", name=op.f("pk_agent_skill")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "external_id",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_external_id_agent_id")),
        sa.PrimaryKeyConstraint("organization_id", "system", "external_id", name=op.f("pk_external_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_external_id_agent_id"), "external_id", ["agent_id"])
    op.create_table(
        "feed",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("live_at", sa.BigInteger(), nullable=False),
        sa.Column("lost_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('live', 'stale', 'down')", name=op.f("ck_feed_state")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name=op.f("fk_feed_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_feed")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("avatar_url", sa.Text(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_identity_agent_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name=op.f("fk_identity_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_identity_workspace_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_identity_agent_id"), "identity", ["agent_id"])
    op.create_table(
        "interval",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("presence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("presence_since", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("presence IN ('available', 'away', 'offline')", name=op.f("ck_interval_presence")),
        sa.CheckConstraint("ended_at > since", name=op.f("ck_interval_forward")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_interval_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", "since", name=op.f("pk_interval")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_interval_open",
        "interval",
        ["agent_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "load_report",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("units >= 0", name=op.f("ck_load_report_units")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_load_report_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", "source", name=op.f("pk_load_report")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_load_report_organization_id"), "load_report", ["organization_id"])
    op.create_table(
        "membership",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("team_slug", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_membership_agent_id")),
        sa.ForeignKeyConstraint(
            ["organization_id", "team_slug"],
            ["team.organization_id", "team.slug"],
            name=op.f("fk_membership_organization_id"),
        ),
        sa.PrimaryKeyConstraint("agent_id", "team_slug", name=op.f("pk_membership")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("outcome IN ('sent', 'expired', 'unreachable')", name=op.f("ck_notice_outcome")),
        sa.CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name=op.f("ck_notice_finished")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_notice_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_notice_owed",
        "notice",
        ["organization_id", "due_at"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "presence",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("intent_choice", sa.Text(), nullable=False),
        sa.Column("intent_set_at", sa.BigInteger(), nullable=False),
        sa.Column("intent_by", sa.Text(), nullable=False),
        sa.Column("intent_reason", sa.Text(), nullable=False),
        sa.Column("intent_until_at", sa.BigInteger(), nullable=True),
        sa.Column("base_choice", sa.Text(), nullable=True),
        sa.Column("base_set_at", sa.BigInteger(), nullable=True),
        sa.Column("base_by", sa.Text(), nullable=True),
        sa.Column("base_reason", sa.Text(), nullable=True),
        sa.Column("check_in_identity_id", sa.Text(), nullable=True),
        sa.Column("check_in_at", sa.BigInteger(), nullable=True),
        sa.Column("check_in_until_at", sa.BigInteger(), nullable=True),
        sa.Column("check_in_warned", sa.Boolean(), nullable=False),
        sa.Column("presence", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("presence_since", sa.BigInteger(), nullable=True),
        sa.Column("acted_at", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("return_asked_on", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "base_choice IN ('available', 'away', 'off')", name=op.f("ck_presence_base_choice")
        ),
        sa.CheckConstraint(
            "intent_choice IN ('available', 'away', 'off')", name=op.f("ck_presence_intent_choice")
        ),
        sa.CheckConstraint("presence IN ('available', 'away', 'offline')", name=op.f("ck_presence_presence")),
        sa.CheckConstraint(
            "(check_in_identity_id IS NULL) = (check_in_until_at IS NULL)"
            " AND (check_in_identity_id IS NULL) = (check_in_at IS NULL)",
            name=op.f("ck_presence_check_in_whole"),
        ),
        sa.CheckConstraint(
            "base_choice IS NULL OR intent_until_at IS NOT NULL", name=op.f("ck_presence_base_under_timed")
        ),
        sa.CheckConstraint(
            "presence_since IS NULL OR presence_since <= since", name=op.f("ck_presence_presence_since")
        ),
        sa.CheckConstraint("version >= 0", name=op.f("ck_presence_version")),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_presence_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_presence")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("weak", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "state IN ('connected', 'suspect', 'idle', 'disconnected')", name=op.f("ck_link_state")
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"], name=op.f("fk_link_agent_id")),
        sa.ForeignKeyConstraint(["feed_id"], ["workspace.id"], name=op.f("fk_link_feed_id")),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name=op.f("fk_link_identity_id")),
        sa.PrimaryKeyConstraint("identity_id", name=op.f("pk_link")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_link_agent_id"), "link", ["agent_id"])


def downgrade() -> None:
    for table in (
        "link",
        "presence",
        "notice",
        "membership",
        "load_report",
        "interval",
        "identity",
        "feed",
        "external_id",
        "agent_skill",
        "workspace",
        "team",
        "skill",
        "api_key",
        "agent",
        "summary_post",
        "setting",
        "organization",
        "identify",
        "event",
        "delivery",
        "commit_mark",
        "audit",
    ):
        op.drop_table(table)
