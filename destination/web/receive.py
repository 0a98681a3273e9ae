"""Receiving: authenticate, read, route, one commit, answer. The engine is never called here."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs

from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from destination.errors import Refused, TooLarge, Unauthorized
from destination.model.arrival import Arrival, Outcome, Receipt
from destination.model.event import TYPES
from destination.model.reason import REFUSALS
from destination.partners.base.body import Body
from destination.partners.base.credentials import Lock, basic_or_bearer
from destination.partners.base.source import Source
from destination.partners.segment import Segment
from destination.registry import Registry
from destination.routing.reload import LiveRoutes
from destination.routing.route import arrive
from destination.store.database import Database
from destination.store.queue.group_commit import GroupCommit
from destination.support import json_codec, metrics
from destination.support.json_codec import Json
from destination.support.text import listed
from destination.web.bridge import wait


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What the receiver works with."""

    database: Database
    group_commit: GroupCommit
    routes: LiveRoutes
    #: The source whose Tracking API we offer.
    segment: Segment
    #: Everything that can be delivered to, subscribers too.
    registry: Registry
    #: What a request to the subscribers' API must show.
    notifications: Lock
    #: Raises BadAddress for a URL that no subscriber may have.
    permit: Callable[[str], None]
    max_body_bytes: int
    max_batch_calls: int
    max_event_bytes: int
    #: Where a worker beside this receiver tells what it counted.
    worker_metrics: str | None = None

    @property
    def sources(self) -> Mapping[str, Source]:
        """Those who send us calls, by name."""
        return self.routes.current.sources

    def is_known(self, path: str, query: str, headers: Mapping[str, str]) -> bool:
        """Whether a request's head shows a credential, or a signature to check."""
        _, first, *rest = f"{path}/".split("/")
        if first == "v1":
            return self.segment.accepts_key(basic_or_bearer(headers))
        source = self.sources.get(rest[0]) if first == "webhooks" else None
        token = parse_qs(query).get("token", [""])[0]
        return source is not None and source.is_known(_with_token(headers, token))

    def take(self, calls: Sequence[Json | Refused], source: str) -> list[Receipt]:
        """Route calls of one request and keep them, in their order. Raises TooLarge for too many,
        Busy, and StoreUnavailable: of more than share a commit the first may be kept, and are
        duplicates when the sender comes again.
        """
        if len(calls) > self.max_batch_calls:
            raise TooLarge(
                f"The batch has {len(calls):,} calls; {self.max_batch_calls:,} are allowed. Send "
                "smaller batches, or raise DESTINATION_MAX_BATCH_CALLS."
            )
        routes = self.routes.current  # one set for all of them, though files change meanwhile
        with metrics.receiving.time():
            receipts = self.enqueue([arrive(call, source, routes) for call in calls])
        for (outcome, reason), number in Counter((r.outcome, r.reason) for r in receipts).items():
            metrics.received.labels(source, outcome).inc(number)
            if outcome is Outcome.DISCARDED:
                metrics.discarded.labels(source, reason).inc(number)
        return receipts

    def enqueue(self, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """Keep arrivals, in commits that they share with others that come at the same time."""
        parts = self.group_commit.parts(arrivals)
        return [receipt for part in parts for receipt in wait(self.group_commit.enqueue(part))]


def blueprint(receiver: Receiver) -> Blueprint:
    """The endpoints that take calls in."""
    views = Blueprint("receive", __name__)

    @views.route("/webhooks/<name>", methods=["POST", "PUT", "PATCH"])
    def webhook(name: str) -> ResponseReturnValue:
        """A partner's webhook: one call, or a batch of them."""
        if name not in receiver.sources:
            abort(404, f"No source is called {name}. There is {', '.join(receiver.sources)}.")
        source, body = receiver.sources[name], _body(receiver)
        _check_open(source)
        source.authenticate(_headers(), body)
        calls, batch = source.calls(body.whole())
        return _answer(receiver.take(calls, name), batch)

    @views.post("/v1/<kind>")
    def track(kind: str) -> ResponseReturnValue:
        """Segment's Tracking API: any of its SDKs can be pointed at us."""
        if kind not in (*TYPES, "batch"):
            abort(404, f"The Tracking API has {', '.join(TYPES)} and batch below /v1.")
        segment, body = receiver.segment, _body(receiver)
        _check_open(segment)
        segment.authenticate_tracking(_given(), body)
        calls, batch = segment.tracked(body.whole(), kind, time.time())
        return _answer(receiver.take(calls, segment.name), batch)

    return views


def _check_open(source: Source) -> None:
    """Raises Unauthorized where no credential is set, by which a sender could be told."""
    if not source.protected:
        raise Unauthorized(
            f"No credential is set for {source.name}, so nobody is let in. Set "
            f"{listed(source.credentials, 'or')}, and send what it asks for."
        )


def _answer(receipts: Sequence[Receipt], batch: bool) -> ResponseReturnValue:
    """What became of each call. A dropped call is no error; a lone call that cannot be taken
    as it stands is one.
    """
    results = [
        {"messageId": r.message_id, "outcome": r.outcome, "reason": r.reason, "detail": r.detail}
        for r in receipts
    ]
    if not batch and receipts[0].reason in REFUSALS:
        return {"code": "bad_request", "message": receipts[0].detail, "results": results}, 400
    return Response(json_codec.dumps({"results": results}), 200, mimetype="application/json")


def _headers() -> Mapping[str, str]:
    return _with_token(_given(), request.args.get("token", "") if request.query_string else "")


def _given() -> Mapping[str, str]:
    """The request's headers, as they came."""
    return cast(Mapping[str, str], request.headers)


def _with_token(headers: Mapping[str, str], token: str) -> Mapping[str, str]:
    """A request's headers. A sender that can set none brings its secret as `?token=`."""
    if not token or "Authorization" in headers:
        return headers
    return {**headers, "Authorization": f"Bearer {token}"}


def _body(receiver: Receiver) -> Body:
    """The request's body as it came."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMediaType(f"Content-Encoding is {encoding}; only gzip is known.")
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(
            f"The body has more than {receiver.max_body_bytes:,} bytes. Send smaller batches, or "
            "raise DESTINATION_MAX_BODY_BYTES."
        ) from error
    return Body(
        raw=raw,
        gzipped=encoding == "gzip",
        most=receiver.max_body_bytes,
        largest_call=receiver.max_event_bytes,
    )
