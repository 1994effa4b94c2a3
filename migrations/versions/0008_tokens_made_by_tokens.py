"""Which token made a token: it ends when that one is revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("api_tokens", schema=None) as batch:
        batch.add_column(sa.Column("made_by_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(batch.f("fk_api_tokens_made_by_id_api_tokens"), "api_tokens", ["made_by_id"], ["id"])
        batch.create_index(batch.f("ix_api_tokens_made_by_id"), ["made_by_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("api_tokens", schema=None) as batch:
        batch.drop_index(batch.f("ix_api_tokens_made_by_id"))
        batch.drop_constraint(batch.f("fk_api_tokens_made_by_id_api_tokens"), type_="foreignkey")
        batch.drop_column("made_by_id")
