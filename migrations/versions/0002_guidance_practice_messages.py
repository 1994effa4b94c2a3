"""Suggestions, practice, contrast cards, adjudication by two, messages, single sign-on, and two more roles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TWO_ROLES = "role IN ('admin', 'expert')"
FOUR_ROLES = "role IN ('admin', 'lead', 'viewer', 'expert')"


def upgrade() -> None:
    op.create_table(
        "practice_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_practice_items_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practice_items")),
    )
    op.create_index(op.f("ix_practice_items_project_id"), "practice_items", ["project_id"])

    op.create_table(
        "user_identities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_identities_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_user_identities_issuer_subject")),
    )
    op.create_index(op.f("ix_user_identities_user_id"), "user_identities", ["user_id"])

    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_webhooks_created_by_id_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_webhooks_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_project_id"), "webhooks", ["project_id"])

    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("webhook_id", sa.Integer(), nullable=True),
        sa.Column("recipient", sa.String(length=2000), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('email', 'webhook')", name=op.f("ck_messages_kind")),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_messages_state")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_messages_project_id_projects")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_messages_webhook_id_webhooks")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("key", name=op.f("uq_messages_key")),
    )
    op.create_index(op.f("ix_messages_project_id"), "messages", ["project_id"])
    op.create_index(
        "ix_messages_waiting",
        "messages",
        ["next_attempt_at"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )

    op.create_table(
        "practice_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("practice_item_id", sa.Integer(), nullable=False),
        sa.Column("expert_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["expert_id"], ["users.id"], name=op.f("fk_practice_answers_expert_id_users")),
        sa.ForeignKeyConstraint(
            ["practice_item_id"],
            ["practice_items.id"],
            name=op.f("fk_practice_answers_practice_item_id_practice_items"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practice_answers")),
        sa.UniqueConstraint(
            "practice_item_id",
            "expert_id",
            "attempt",
            name=op.f("uq_practice_answers_practice_item_id_expert_id_attempt"),
        ),
    )
    op.create_index(op.f("ix_practice_answers_expert_id"), "practice_answers", ["expert_id"])

    op.create_table(
        "adjudication_votes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_adjudication_votes_item_id_items")),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_adjudication_votes_round_id_rounds")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_adjudication_votes_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjudication_votes")),
        sa.UniqueConstraint(
            "round_id", "item_id", "user_id", name=op.f("uq_adjudication_votes_round_id_item_id_user_id")
        ),
    )
    op.create_table(
        "suggestions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=True),
        sa.Column("label", sa.SmallInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=64), nullable=False),
        sa.Column("guideline_version_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by_id", sa.Integer(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_in_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind <> 'example' OR label IS NOT NULL", name=op.f("ck_suggestions_example_has_label")),
        sa.CheckConstraint("kind IN ('question', 'example')", name=op.f("ck_suggestions_kind")),
        sa.CheckConstraint("state IN ('open', 'answered', 'declined')", name=op.f("ck_suggestions_state")),
        sa.ForeignKeyConstraint(["answered_by_id"], ["users.id"], name=op.f("fk_suggestions_answered_by_id_users")),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_suggestions_author_id_users")),
        sa.ForeignKeyConstraint(
            ["guideline_version_id"],
            ["guideline_versions.id"],
            name=op.f("fk_suggestions_guideline_version_id_guideline_versions"),
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_suggestions_item_id_items")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_suggestions_project_id_projects")),
        sa.ForeignKeyConstraint(
            ["published_in_id"],
            ["guideline_versions.id"],
            name=op.f("fk_suggestions_published_in_id_guideline_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suggestions")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_suggestions_idempotency_key")),
    )
    op.create_index(op.f("ix_suggestions_project_id"), "suggestions", ["project_id"])

    op.create_table(
        "pair_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pair_id", sa.Integer(), nullable=False),
        sa.Column("expert_id", sa.Integer(), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("outcome IN ('confirmed', 'revised')", name=op.f("ck_pair_views_outcome")),
        sa.ForeignKeyConstraint(["expert_id"], ["users.id"], name=op.f("fk_pair_views_expert_id_users")),
        sa.ForeignKeyConstraint(["pair_id"], ["boundary_pairs.id"], name=op.f("fk_pair_views_pair_id_boundary_pairs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pair_views")),
        sa.UniqueConstraint("pair_id", "expert_id", name=op.f("uq_pair_views_pair_id_expert_id")),
    )
    op.create_index(op.f("ix_pair_views_expert_id"), "pair_views", ["expert_id"])

    with op.batch_alter_table("annotations", schema=None) as batch:
        batch.add_column(sa.Column("requeued_by_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(batch.f("fk_annotations_requeued_by_id_users"), "users", ["requeued_by_id"], ["id"])
        batch.create_check_constraint(
            batch.f("ck_annotations_requeued_is_undone"), "requeued_by_id IS NULL OR kind = 'undone'"
        )
    _add_filled("api_tokens", sa.Column("scopes", JSON, nullable=False), "[]")
    _add_filled("guideline_versions", sa.Column("summary", sa.Text(), nullable=False), "")
    _add_filled("users", sa.Column("preferences", JSON, nullable=False), "{}")
    op.add_column("api_tokens", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("memberships", sa.Column("practice_passed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("locale", sa.String(length=10), nullable=True))
    _allow_roles(FOUR_ROLES)


def _add_filled(table: str, column: sa.Column, value: str) -> None:
    """A column that may not be NULL, with ``value`` in the rows that are there and no default for later ones."""
    column.server_default = sa.DefaultClause(value)
    with op.batch_alter_table(table, schema=None) as batch:
        batch.add_column(column)
    with op.batch_alter_table(table, schema=None) as batch:
        batch.alter_column(column.name, server_default=None, existing_type=column.type, existing_nullable=False)


def _allow_roles(condition: str) -> None:
    for table in ("memberships", "invitations"):
        with op.batch_alter_table(table, schema=None) as batch:
            batch.drop_constraint(batch.f(f"ck_{table}_role"), type_="check")
            batch.create_check_constraint(batch.f(f"ck_{table}_role"), condition)


def downgrade() -> None:
    for table in ("memberships", "invitations"):
        op.execute(f"UPDATE {table} SET role = 'expert' WHERE role IN ('lead', 'viewer')")  # noqa: S608 - constants
    _allow_roles(TWO_ROLES)
    op.drop_column("users", "locale")
    op.drop_column("users", "preferences")
    op.drop_column("memberships", "practice_passed_at")
    op.drop_column("guideline_versions", "summary")
    op.drop_column("api_tokens", "last_used_at")
    op.drop_column("api_tokens", "scopes")
    with op.batch_alter_table("annotations", schema=None) as batch:
        batch.drop_constraint(batch.f("ck_annotations_requeued_is_undone"), type_="check")
        batch.drop_constraint(batch.f("fk_annotations_requeued_by_id_users"), type_="foreignkey")
        batch.drop_column("requeued_by_id")
    for table in (
        "pair_views",
        "suggestions",
        "adjudication_votes",
        "practice_answers",
        "messages",
        "webhooks",
        "user_identities",
        "practice_items",
    ):
        op.drop_table(table)
