"""Profiles and awards; a customer's referral codes are found; tries of parked events counted."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "profile",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("times", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("destination", "customer", name="pk_profile"),
    )
    op.create_table(
        "award",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", Id, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_award"),
    )
    op.create_index("ix_award_at", "award", ["at"], unique=False)
    op.add_column("discard", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_referral_code_customer", "referral_code", ["destination", "customer"], unique=False
    )
