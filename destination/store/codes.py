"""Referral codes: each belongs to the customer that brought it first."""

import hashlib

import sqlalchemy as sa

from destination.database import Database
from destination.deliveries import Delivery, Discard
from destination.routing import Arrival
from destination.store import schema


def claim(
    database: Database, connection: sa.Connection, routed: dict[int, Arrival], now: float
) -> dict[int, Arrival]:
    """The same arrivals; a delivery whose referral code is somebody else's became a discard."""
    claims = {
        (delivery.destination, digest(delivery.code)): delivery.customer
        for arrival in reversed(routed.values())  # so that the first of a batch stays
        for delivery in reversed(arrival.deliveries)
        if delivery.code
    }
    if not claims:
        return routed
    table = schema.referral_code
    connection.execute(
        database.insert(table).on_conflict_do_nothing(),
        [
            {"destination": destination, "code": code, "customer": customer, "since": now}
            for (destination, code), customer in sorted(claims.items())
        ],
    )
    codes = [code for _, code in claims]
    owners = {
        (row.destination, row.code): row.customer
        for row in connection.execute(sa.select(table).where(table.c.code.in_(codes)))
    }

    def judge(delivery: Delivery) -> Delivery | Discard:
        code = delivery.code
        if not code or owners[delivery.destination, digest(code)] == delivery.customer:
            return delivery
        return delivery.discarded(
            "referral_code_taken",
            "The referral code belongs to another customer, who brought it first.",
        )

    return {key: arrival.judged(judge) for key, arrival in routed.items()}


def digest(code: str) -> str:
    """Under what the register keeps a referral code."""
    return hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()
