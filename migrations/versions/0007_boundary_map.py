"""The boundary map of each round."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "map_projections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("encoder_key", sa.String(length=200), nullable=False),
        sa.Column("artifact_key", sa.String(length=300), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_map_projections_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_map_projections")),
        sa.UniqueConstraint("project_id", "encoder_key", name=op.f("uq_map_projections_project_id_encoder_key")),
    )
    op.create_table(
        "boundary_maps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("round_id", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("projection_id", sa.Integer(), nullable=True),
        sa.Column("model_version_id", sa.Integer(), nullable=True),
        sa.Column("layer", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('before', 'after')", name=op.f("ck_boundary_maps_side")),
        sa.CheckConstraint("state IN ('wanted', 'done', 'failed')", name=op.f("ck_boundary_maps_state")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_boundary_maps_model_version_id_model_versions")
        ),
        sa.ForeignKeyConstraint(
            ["projection_id"], ["map_projections.id"], name=op.f("fk_boundary_maps_projection_id_map_projections")
        ),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.id"], name=op.f("fk_boundary_maps_round_id_rounds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_boundary_maps")),
        sa.UniqueConstraint("round_id", "side", name=op.f("uq_boundary_maps_round_id_side")),
    )


def downgrade() -> None:
    op.drop_table("boundary_maps")
    op.drop_table("map_projections")
