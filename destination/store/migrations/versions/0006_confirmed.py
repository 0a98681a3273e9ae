"""A delivery knows the event by which the engine has shown that it was processed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.add_column("delivery", sa.Column("confirmed_by", number, nullable=True))
