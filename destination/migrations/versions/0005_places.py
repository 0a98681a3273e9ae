"""A delivery's place in its lane is that of its event, however late a replay makes it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

WAITING = sa.text("status IN ('pending', 'sending')")


def upgrade() -> None:
    op.drop_index("ix_delivery_waiting", "delivery")
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["lane_id", "event_id", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
