"""Which clause of the guideline a decision rests on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("consensus_labels", "adjudication_votes"):
        with op.batch_alter_table(table, schema=None) as batch:
            batch.add_column(sa.Column("clause", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in ("adjudication_votes", "consensus_labels"):
        with op.batch_alter_table(table, schema=None) as batch:
            batch.drop_column("clause")
