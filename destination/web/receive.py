"""Receiving: verify, read, route, one commit, answer. The engine is never called here."""

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from destination.errors import Busy, Refused, Unauthorized
from destination.model.arrival import Outcome, Receipt
from destination.model.event import TYPES
from destination.model.reason import REFUSALS
from destination.partners.base.credentials import Lock
from destination.partners.base.source import Source
from destination.partners.segment import Segment
from destination.registry import Registry
from destination.routing.reload import LiveRoutes
from destination.routing.route import arrive
from destination.store.database import Database
from destination.store.queue import group_commit
from destination.store.queue.group_commit import GroupCommit
from destination.support import metrics
from destination.support.executor import DaemonThreads
from destination.support.json_codec import Json
from destination.support.text import listed
from destination.web.bridge import wait

#: Calls of a batch that are routed in one go: then others have a turn.
SLICE = 5

#: Bytes of a body that takes a moment to be read, and how many such may be under way at once.
LARGE, MOST_LARGE = 65_536, 16

#: The calls of a body, and whether it is a batch of them.
Calls = tuple[Sequence[Json | Refused], bool]


class Crowd:
    """So many at once; whoever waits too long to come in is told to come back."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)

    def __enter__(self) -> None:
        wait(self._come_in())

    def __exit__(self, *_: object) -> None:
        wait(self._leave())

    async def _come_in(self) -> None:
        try:
            async with asyncio.timeout(group_commit.PATIENCE):
                await self._room.acquire()
        except TimeoutError:
            raise Busy from None

    async def _leave(self) -> None:
        self._room.release()


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What the receiver works with."""

    database: Database
    group_commit: GroupCommit
    routes: LiveRoutes
    #: The source whose Tracking API we offer.
    segment: Segment
    #: Sources without a credential, where others than this machine could reach them: every request
    #: of theirs is answered 401.
    unprotected: Collection[str]
    #: Everything that can be delivered to, subscribers too.
    registry: Registry
    #: What a request to the subscribers' API must show; None where it is closed, as a source is.
    notifications: Lock | None
    #: Raises BadAddress for a URL that no subscriber may have.
    permit: Callable[[str], None]
    max_body_bytes: int
    max_batch_calls: int
    #: Where a worker beside this receiver tells what it counted.
    worker_metrics: str | None = None
    crowd: Crowd = field(default_factory=lambda: Crowd(MOST_LARGE))
    #: They compute more than they wait: two do not keep the loop from it for long.
    readers: DaemonThreads = field(default_factory=lambda: DaemonThreads(2, "read"))

    def receive(self, read: Callable[[bytes], Calls], source: str) -> tuple[list[Receipt], bool]:
        """Take in what the request brings; `read` makes calls of its body, and whether they are a
        batch. What may be large is read by a thread, and there is a bound of how much at once.
        """
        body, packed = _body(self.max_body_bytes), _is_packed()
        if len(body) <= LARGE:
            small = _unpack(body, LARGE) if packed else body
            if small is not None:
                calls, batch = read(small)
                return self.take(calls, source), batch
        with self.crowd:
            calls, batch = wait(self.readers.do(lambda: read(self._whole(body, packed))))
            return self.take(calls, source), batch

    def _whole(self, body: bytes, packed: bool) -> bytes:
        whole = _unpack(body, self.max_body_bytes) if packed else body
        if whole is None:
            raise RequestEntityTooLarge(
                f"Unpacked, the body has more than {self.max_body_bytes:,} bytes."
            )
        return whole

    def take(self, calls: Sequence[Json | Refused], source: str) -> list[Receipt]:
        """Route and keep `calls`, in their order. Raises StoreUnavailable: of more than share a
        commit the first may be kept, and are duplicates when the sender comes again.
        """
        if len(calls) > self.max_batch_calls:
            raise RequestEntityTooLarge(
                f"The batch has {len(calls):,} calls; {self.max_batch_calls:,} are allowed. Send "
                "smaller batches, or raise DESTINATION_MAX_BATCH_CALLS."
            )
        if not calls:
            return []
        routes = self.routes.current  # one set for all of them, though files change meanwhile
        with metrics.receiving.time():
            arrivals = [arrive(call, source, routes) for call in calls[:SLICE]]
            for start in range(SLICE, len(calls), SLICE):
                wait(asyncio.sleep(0))
                arrivals += [arrive(call, source, routes) for call in calls[start : start + SLICE]]
            outcomes = wait(self.group_commit.enqueue(arrivals))
        for (outcome, reason), number in Counter((o.outcome, o.reason) for o in outcomes).items():
            metrics.received.labels(source, outcome).inc(number)
            if outcome is Outcome.DISCARDED:
                metrics.discarded.labels(source, reason).inc(number)
        return outcomes

    def check_open(self, source: Source) -> None:
        """Raises Unauthorized where strangers could send as this source."""
        if source.name in self.unprotected:
            raise Unauthorized(
                f"Nothing keeps strangers from sending as {source.name}, so nobody is let in. Set "
                f"{listed(source.credentials, 'or')}, and send what it asks for."
            )


def blueprint(receiver: Receiver) -> Blueprint:
    """The endpoints that take calls in."""
    views = Blueprint("receive", __name__)
    sources = receiver.routes.current.sources

    @views.route("/webhooks/<name>", methods=["POST", "PUT", "PATCH"])
    def webhook(name: str) -> ResponseReturnValue:
        """A partner's webhook: one call, or a batch of them."""
        if name not in sources:
            abort(404, f"No source is called {name}. There is {', '.join(sources)}.")
        receiver.check_open(sources[name])
        source, headers = sources[name], _headers()

        def read(body: bytes) -> Calls:
            source.authenticate(headers, body)
            return source.calls(body)

        return _answer(*receiver.receive(read, name))

    @views.post("/v1/<kind>")
    def track(kind: str) -> ResponseReturnValue:
        """Segment's Tracking API: any of its SDKs can be pointed at us."""
        if kind not in (*TYPES, "batch"):
            abort(404, f"The Tracking API has {', '.join(TYPES)} and batch below /v1.")
        receiver.check_open(receiver.segment)
        segment, headers = receiver.segment, dict(request.headers)

        def read(body: bytes) -> Calls:
            segment.authenticate_tracking(headers, body)
            return segment.tracked(body, kind, time.time())

        return _answer(*receiver.receive(read, segment.name))

    return views


def _answer(outcomes: Sequence[Receipt], batch: bool) -> ResponseReturnValue:
    """What became of each call. A dropped call is no error; a lone call that cannot be taken
    as it stands is one.
    """
    results = [
        {"messageId": o.message_id, "outcome": o.outcome, "reason": o.reason, "detail": o.detail}
        for o in outcomes
    ]
    if not batch and outcomes[0].reason in REFUSALS:
        return {"message": outcomes[0].detail, "results": results}, 400
    return {"results": results}, 200


def _headers() -> dict[str, str]:
    """The request's headers. A sender that can set none brings its secret as `?token=`."""
    headers = dict(request.headers)
    if token := request.args.get("token"):
        headers.setdefault("Authorization", f"Bearer {token}")
    return headers


def _body(limit: int) -> bytes:
    """The request's body as it came, never longer than `limit`."""
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        error.description = (
            f"The body has more than {limit:,} bytes. Send smaller batches, or raise "
            "DESTINATION_MAX_BODY_BYTES."
        )
        raise


def _is_packed() -> bool:
    """Whether the body is gzipped."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMediaType(f"Content-Encoding is {encoding}; only gzip is known.")
    return encoding == "gzip"


def _unpack(body: bytes, limit: int) -> bytes | None:
    """What was gzipped; None where it is longer than `limit`."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest("The body is not gzip, though Content-Encoding says so.") from error
    if len(body) > limit:
        return None
    if not unpacker.eof:
        raise BadRequest("The gzipped body ends too early.")
    return body
