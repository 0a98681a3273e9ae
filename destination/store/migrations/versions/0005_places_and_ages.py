"""A delivery has its event's place in its lane; of an event past its age only the id is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WAITING = sa.text("status IN ('pending', 'sending')")
EMPTIED = sa.text("emptied_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_delivery_waiting", "delivery")
    op.create_index(
        "ix_delivery_waiting",
        "delivery",
        ["lane_id", "event_id", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.add_column("event", sa.Column("emptied_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_event_emptied_at",
        "event",
        ["emptied_at"],
        sqlite_where=EMPTIED,
        postgresql_where=EMPTIED,
    )
