"""Lanes that are under way are counted, for destinations that allow only so many."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UNDER_WAY = sa.text("owner IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_lane_under_way",
        "lane",
        ["destination"],
        sqlite_where=UNDER_WAY,
        postgresql_where=UNDER_WAY,
    )
