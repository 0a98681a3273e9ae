"""The tables. Times are seconds since 1970 UTC by the database's clock; JSON is kept as text."""

from typing import TypeAlias

import sqlalchemy as sa

#: A row that a statement found: its columns are attributes, whose types SQLAlchemy does not know.
Row: TypeAlias = "sa.Row[*tuple[object, ...]]"

#: The rows that a statement found, read as they are needed.
Rows: TypeAlias = "sa.CursorResult[*tuple[object, ...]]"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)

#: SQLite counts rows by itself only in an INTEGER column.
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time: sa.Double[float] = sa.Double()

#: A delivery that keeps its lane from being empty.
WAITING = sa.text("status IN ('pending', 'sending')")
#: A delivery that somebody may still have to look at.
OPEN = sa.text("status <> 'delivered'")

#: Every call that arrived, whatever became of it.
event = sa.Table(
    "event",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("type", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("user_id", sa.Text),
    sa.Column("timestamp", Time),
    sa.Column("received_at", Time, nullable=False),
    # Empty from `emptied_at` on.
    sa.Column("call", sa.Text, nullable=False),
    # When its payload was removed; the row stays for a while, so that its id is still known.
    sa.Column("emptied_at", Time),
    # the same call twice is one call
    sa.UniqueConstraint("message_id", "source"),
    sa.Index(
        "ix_event_emptied_at",
        "emptied_at",
        sqlite_where=sa.text("emptied_at IS NOT NULL"),
        postgresql_where=sa.text("emptied_at IS NOT NULL"),
    ),
)

#: Why an event made no delivery: for one mapping, or for all.
discard = sa.Table(
    "discard",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("event_id", sa.ForeignKey("event.id"), nullable=False, index=True),
    sa.Column("destination", sa.Text),
    sa.Column("mapping", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("at", Time, nullable=False),
    # How often a process began to route a quarantined event again, and died before the end.
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
)

#: One customer of one destination: its deliveries leave in order, one at a time.
lane = sa.Table(
    "lane",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("customer", sa.Text, nullable=False),
    # When its next delivery may leave; for a lane under way, when its lease ends; else NULL.
    sa.Column("ready_at", Time),
    # The lease that has it under way: its token.
    sa.Column("owner", sa.Text),
    # Since it was last empty, it had nothing but bulk: what may wait for everything else.
    sa.Column("bulk", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("destination", "customer"),
    # A poll reads the lanes that are ready, and never those that wait.
    sa.Index(
        "ix_lane_ready",
        "destination",
        "bulk",
        "ready_at",
        sqlite_where=sa.text("ready_at IS NOT NULL"),
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    ),
    # Those under way are counted, whatever waits beside them.
    sa.Index(
        "ix_lane_under_way",
        "destination",
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    ),
)

#: One payload on its way, frozen when it was routed.
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("event_id", sa.ForeignKey("event.id"), nullable=False),
    sa.Column("lane_id", sa.ForeignKey("lane.id"), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    # The digest of the mapping files that made it.
    sa.Column("mapping_set", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    # Why it has its status: the code of the last answer that did not deliver it.
    sa.Column("reason", sa.Text),
    # How many of its requests have been answered: a look-up may come before the real one.
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # The retry horizon counts from here.
    sa.Column("first_attempt_at", Time),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("settled_at", Time),
    # The event by which the engine itself has shown that it was processed.
    sa.Column("confirmed_by", Id),
    # How many workers in a row died while it was being sent.
    sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
    # a mapping fires once
    sa.UniqueConstraint("event_id", "destination", "mapping"),
    # the first of a lane is found without reading those behind it
    sa.Index(
        "ix_delivery_waiting",
        "lane_id",
        "event_id",
        "id",
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    ),
    # what waits is counted, and what failed is listed, without reading what is delivered
    sa.Index(
        "ix_delivery_open",
        "status",
        "destination",
        "id",
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
)

#: One HTTP exchange: written before its request leaves, completed when it is acknowledged.
attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("delivery_id", sa.ForeignKey("delivery.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("ended_at", Time),
    sa.Column("method", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("status", sa.Integer),
    sa.Column("trouble", sa.Text),
    sa.Column("answer", sa.Text),
    sa.Column("verdict", sa.Text),
    sa.UniqueConstraint("delivery_id", "number"),
)

#: Who delivers: a row for each worker that runs, or that was killed.
worker = sa.Table(
    "worker",
    metadata,
    # Drawn when it starts.
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started_at", Time, nullable=False),
    # When it last said that it lives.
    sa.Column("seen_at", Time, nullable=False),
)

#: A destination that is paused: its deliveries wait, and lose nothing.
hold = sa.Table(
    "hold",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", Time, nullable=False),
    # When one delivery may leave, to see whether it is well again; NULL: until it is resumed.
    sa.Column("probe_at", Time),
)

#: What all workers together know of a destination.
pace = sa.Table(
    "pace",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    # How often in a row it has failed as a whole: the breaker opens on it.
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    # The requests sent so far use up the rate limit until this moment (GCRA).
    sa.Column("free_at", Time, nullable=False, server_default="0"),
)

#: Whose a referral code is: the customer that brought it first.
referral_code = sa.Table(
    "referral_code",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    # SHA-256 of the code, in hex: any text fits, and nobody's code can be read here.
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("since", Time, nullable=False),
    # a customer's codes are found by it
    sa.Index("ix_referral_code_customer", "destination", "customer"),
)

#: What was awarded, so that it is not awarded again. It outlives event and delivery.
award = sa.Table(
    "award",
    metadata,
    # SHA-256 of its mapping and its event, or of its mapping and the value that this names.
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("event_id", Id, nullable=False),
    # When its delivery was made; it is forgotten a set time after that.
    sa.Column("at", Time, nullable=False, index=True),
)

#: What was set of a customer, and when: so that an older event that arrives late changes nothing.
profile = sa.Table(
    "profile",
    metadata,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("customer", sa.Text, primary_key=True),
    # JSON: each place of a payload that was set, with the time and the id of the event that set it.
    sa.Column("times", sa.Text, nullable=False),
)

#: The mapping files that were in force at some time: so that it can be said why something was sent.
mapping_set = sa.Table(
    "mapping_set",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    # JSON: the path of each file below the folder, and its text.
    sa.Column("texts", sa.Text, nullable=False),
    # When it was last taken up.
    sa.Column("since", Time, nullable=False),
)

#: Somebody who subscribed to events, and where they are delivered: a destination `webhook:<id>`.
account = sa.Table(
    "account",
    metadata,
    # 24 hexadecimal digits.
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("active", sa.Boolean, nullable=False),
    # JSON: a list of names.
    sa.Column("event_names", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    # JSON: what every delivery carries, mostly a credential.
    sa.Column("headers", sa.Text, nullable=False),
    # How many requests may be under way to it.
    sa.Column("connections", sa.Integer, nullable=False),
    # Seconds after which a delivery is late; NULL: never.
    sa.Column("sla", sa.Integer),
    sa.Column("consumer_group", sa.Text, nullable=False),
    # What signs its deliveries; the one before it signs too, until its time is over.
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_secret_until", Time),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)

#: What a subscriber is told, and the ids by which it asks what became of it: a row for each
#: delivery to a subscriber.
notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    sa.Column("ref_id", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    # The delivery: these three name one.
    sa.Column("event_id", sa.ForeignKey("event.id", ondelete="CASCADE"), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.UniqueConstraint("event_id", "destination", "mapping"),
)
