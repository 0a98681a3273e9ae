"""How fast a destination may be sent to, and what may wait for everybody else."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pace",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("free_at", sa.Double(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("destination", name="pk_pace"),
    )
    op.add_column(
        "lane", sa.Column("bulk", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.drop_index("ix_lane_ready", "lane")
    waits = sa.text("ready_at IS NOT NULL")
    op.create_index(
        "ix_lane_ready",
        "lane",
        ["destination", "bulk", "ready_at"],
        sqlite_where=waits,
        postgresql_where=waits,
    )
    still_open = sa.text("status <> 'delivered'")
    op.create_index(
        "ix_delivery_open",
        "delivery",
        ["status", "destination", "id"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.drop_index("ix_delivery_status", "delivery")
    with op.batch_alter_table("hold") as hold:
        hold.alter_column("probe_at", existing_type=sa.Double(), nullable=True)
