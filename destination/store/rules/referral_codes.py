"""Referral codes: each belongs to the customer that brought it first."""

import hashlib
from functools import cache, partial

import sqlalchemy as sa

from destination.model.delivery import Delivery, Discard
from destination.model.reason import DiscardReason
from destination.store import schema
from destination.store.database import Insert
from destination.store.rules import Routed, RuleContext


def register(context: RuleContext, routed: Routed) -> Routed:
    """A rule: a delivery whose referral code is somebody else's becomes a discard, and so does one
    that signs a customer up with a code of its own. The other codes are registered.
    """
    deliveries = [each for _, arrival in routed for each in arrival.deliveries]
    brought = {
        (delivery.destination, digest(delivery.code)): delivery.customer
        for delivery in reversed(deliveries)  # so that the first of a batch stays
        if delivery.code
    }
    used = {digest(delivery.used_code) for delivery in deliveries if delivery.used_code}
    if not brought and not used:
        return routed
    database, connection = context.database, context.connection
    if brought:
        database.insert_rows(
            connection,
            _register(database.insert),
            # Fixed lock order: prevents deadlocks.
            [
                {
                    "destination": destination,
                    "code": code,
                    "customer": customer,
                    "since": context.now,
                }
                for (destination, code), customer in sorted(brought.items())
            ],
        )
    codes = used.union(code for _, code in brought)
    owners = {
        (row.destination, row.code): row.customer
        for row in connection.execute(_OWNERS, {"codes": sorted(codes)})
    }
    return [(key, arrival.apply(partial(_discard_if_not_own, owners))) for key, arrival in routed]


def free_old(connection: sa.Connection, routed: Routed) -> None:
    """Free the codes that customers had before, where the delivery of the new one says so."""
    newest = {
        (delivery.destination, delivery.customer): digest(delivery.code)
        for _, arrival in routed
        for delivery in arrival.deliveries
        if delivery.code and delivery.frees_codes
    }
    if newest:
        connection.execute(
            _FREE_OTHERS,
            [
                {"destination": destination, "customer": customer, "newest": code}
                for (destination, customer), code in sorted(newest.items())
            ],
        )


def _discard_if_not_own(
    owners: dict[tuple[str, str], str], delivery: Delivery
) -> Delivery | Discard:
    def owner(code: str) -> str | None:
        return owners.get((delivery.destination, digest(code)))

    if delivery.code and owner(delivery.code) != delivery.customer:
        return delivery.discarded(
            DiscardReason.REFERRAL_CODE_TAKEN,
            "The referral code belongs to another customer, who brought it first.",
        )
    if delivery.used_code and owner(delivery.used_code) == delivery.customer:
        return delivery.discarded(
            DiscardReason.SELF_REFERRAL, "The customer signs up with a referral code of its own."
        )
    return delivery


def digest(code: str) -> str:
    """SHA-256 of a referral code, in hex: what the table keeps of it."""
    return hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()


@cache
def _register(insert: Insert) -> sa.Insert:
    """Inserts codes; one that a customer has already stays with that customer."""
    return insert(schema.referral_code).on_conflict_do_nothing()


_OWNERS = sa.select(schema.referral_code).where(
    schema.referral_code.c.code.in_(sa.bindparam("codes", expanding=True))
)
_FREE_OTHERS = sa.delete(schema.referral_code).where(
    schema.referral_code.c.destination == sa.bindparam("destination"),
    schema.referral_code.c.customer == sa.bindparam("customer"),
    schema.referral_code.c.code != sa.bindparam("newest"),
)
