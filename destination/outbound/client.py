"""The one HTTP client: it sends one request, and says what came back and whether the request left.

It never resends and never follows a redirect. A call ends within its timeouts, whatever the other
side does. At most 64 KB of an answer are kept.
"""

import contextlib
import functools
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from destination.model.request import Request
from destination.model.verdict import Exchange, Trouble
from destination.outbound import dns
from destination.outbound.ssrf_guard import Guard

#: How much of an answer is kept.
MAX_ANSWER_BYTES = 64 * 1024

#: Seconds after which an idle connection is not used again: many servers close theirs after
#: five, and a request that meets the closing is lost without a trace of what became of it.
MAX_IDLE = 4.0


class Client:
    """Calls one destination, from any number of threads."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        connect_timeout: float,
        read_timeout: float,
        connections: int,
        guard: Guard | None = None,
    ) -> None:
        """`guard` says where connections may lead, where the address is a stranger's."""
        self._url = url
        self.guard = guard
        self._headers = {
            "User-Agent": "loyalty-destination",
            "Content-Type": "application/json",
            **headers,
            "Accept-Encoding": "identity",  # what is not compressed cannot unpack to a bomb
        }
        self._longest = connect_timeout + read_timeout
        self._timeout = Timeout(connect=connect_timeout, read=read_timeout)
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=connections)

    def exchange(self, request: Request) -> Exchange:
        """Send `request` and read the answer. Never raises: the exchange says what went wrong."""
        url = self._url + request.path
        call = _deadlines.begin(self, self._longest)
        try:
            status, retry_after, answer = self._send(request)
            if call.late:
                raise TimeoutError("the answer took too long")
        except (HTTPError, http.client.HTTPException, OSError) as error:  # requests' are OSErrors
            return self.without_answer(request, _trouble(error, call), _innermost_words(error))
        finally:
            _deadlines.end(call)
        return Exchange(
            method=request.method, url=url, status=status, answer=answer, retry_after=retry_after
        )

    def without_answer(self, request: Request, trouble: Trouble, words: str) -> Exchange:
        """The exchange of a request that is not sent now, or whose worker died before it knew the
        answer. `words` say why.
        """
        url = self._url + request.path
        return Exchange(method=request.method, url=url, trouble=trouble, answer=words)

    def cut(self) -> None:
        """End every call that is under way: each returns at once, with what is known of it."""
        _deadlines.cut(self)

    def close(self) -> None:
        """Close the idle connections; calls that are under way go on to their ends."""
        if "_route" in vars(self):  # the adapter forgets its connections, and does not close them
            self._route[0].close()
        self._adapter.close()

    @functools.cached_property
    def _route(self) -> tuple[HTTPConnectionPool, str]:
        """The pool of connections, and what stands before a request's path.

        The library requests makes the pool: certificates and proxies are as its users know them.
        We then use the pool directly, at half of the cost of a call through a session.
        """
        options = requests.Session().merge_environment_settings(self._url, {}, True, None, None)
        if self.guard:
            options["proxies"] = {}  # a proxy would connect to where we could not look
        root = requests.Request("POST", self._url + "/").prepare()
        pool = self._adapter.get_connection_with_tls_context(
            root, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        return cast(HTTPConnectionPool, pool), self._adapter.request_url(
            root, options["proxies"]
        ).removesuffix("/")

    def _send(self, request: Request) -> tuple[int, str | None, str]:
        """The status, the Retry-After and the text of the answer."""
        pool, base = self._route
        signed = request.sign(time.time()) if request.sign else {}
        response = pool.urlopen(
            request.method,
            base + request.path,
            body=None if request.body is None else request.body.encode(),
            headers={**self._headers, **signed},
            timeout=self._timeout,
            retries=False,  # it raises what went wrong, and follows no redirect
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            content = response.read(MAX_ANSWER_BYTES + 1)
            if len(content) <= MAX_ANSWER_BYTES:
                response.read(1)  # raises where the answer ended before its announced end
                _check_headers_are_whole(response)
        except ValueError as error:
            raise ConnectionError("a chunk of the answer has a negative size") from error
        finally:
            # The connection went back to the pool if the answer was read to its end. If not, it
            # is dropped here.
            response.close()
        answer = content[:MAX_ANSWER_BYTES].decode(errors="replace")
        return response.status, response.headers.get("Retry-After"), answer


def _check_headers_are_whole(response: BaseHTTPResponse) -> None:
    """Raises ConnectionError where the answer's headers were cut off, which the library takes for
    whole. Such an answer does not announce where it ends. A server must do that unless it says
    that it closes the connection.
    """
    announced = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
    closes = response.headers.get("Connection", "").lower() == "close"
    bodiless = response.status in (204, 304) or response.version < 11
    if not (announced or closes or bodiless):
        raise ConnectionError("the answer ended in its headers")


def _trouble(error: Exception, call: "_Call") -> Trouble:
    if not call.bytes_sent:
        return Trouble.NOT_SENT
    if call.late or isinstance(error, ReadTimeoutError | TimeoutError):
        return Trouble.TIMEOUT
    return Trouble.CONNECTION_LOST


def _innermost_words(error: BaseException) -> str:
    """What the innermost cause says: `[Errno 111] Connection refused`.

    Of an answer that cannot be read, only the error's name: `BadStatusLine`. Its text quotes the
    answer, and these words are logged.
    """
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    said = str(error)[:500] if isinstance(error, OSError) else ""
    return said or type(error).__name__


class _Call:
    """One request under way."""

    def __init__(self, client: Client | None = None, ends: float = 0.0) -> None:
        self.client = client
        self.ends = ends
        #: Whether any byte of it may have left.
        self.bytes_sent = False
        #: Its time is over: it was cut.
        self.late = False
        self.socket: socket.socket | None = None

    @property
    def guard(self) -> Guard | None:
        return self.client.guard if self.client else None

    def cut(self) -> None:
        """End it: its thread wakes up with an error."""
        self.late = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    """The call of this thread."""

    call = _Call()


_current = _Current()


class _Deadlines:
    """Ends the calls that last too long. A socket's timeout bounds only each single wait: an
    answer of one byte a second would never end.
    """

    def __init__(self) -> None:
        self._calls: set[_Call] = set()
        self._starting = threading.Lock()
        self._started = False

    def begin(self, client: Client, seconds: float) -> _Call:
        call = _current.call = _Call(client, time.monotonic() + seconds)
        self._calls.add(call)
        if not self._started:
            self._start()
        return call

    def end(self, call: _Call) -> None:
        self._calls.discard(call)

    def cut(self, client: Client) -> None:
        for call in self._calls.copy():
            if call.client is client:
                call.cut()

    def _start(self) -> None:
        """Start the one thread that watches the calls of all clients, with the first of them."""
        with self._starting:
            if not self._started:
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
                self._started = True

    def _run(self) -> None:
        while True:
            time.sleep(0.25)
            now = time.monotonic()
            for call in self._calls.copy():
                if now > call.ends:
                    call.cut()


_deadlines = _Deadlines()


class _TrackedConnection:
    """A connection that notes when a request leaves on it, and is not reused when it was idle for
    long. For a client with a guard, it leads to an address that the guard permits.
    """

    sock: socket.socket | None
    used = 0.0
    _parts: list[bytes] | None = None

    def _new_conn(self) -> socket.socket:
        own = cast(HTTPConnection, self)
        guard = _current.call.guard
        tls = isinstance(own, HTTPSConnection)
        connect = functools.partial(guard.connect, tls=tls) if guard else dns.connect
        try:
            return connect(
                own.host,
                own.port,
                timeout=cast(float, own.timeout),
                socket_options=own.socket_options or (),
            )
        except TimeoutError as error:
            raise ConnectTimeoutError(own, "the connection took too long") from error
        except OSError as error:
            raise NewConnectionError(own, str(error)) from error

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        finally:
            # Bytes of proxy and TLS set-up do not count as the request.
            _current.call.bytes_sent = False

    def request(self, *args: object, **options: object) -> None:
        """Send head and body together: apart, they cost two packets and two waits."""
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*args, **options)  # type: ignore[misc]
        finally:
            self._parts = None
        self.send(b"".join(parts))

    def send(self, data: Any) -> None:  # whatever http.client can send
        if self._parts is not None:
            self._parts.append(data)
            return
        if self.sock is None:
            self.connect()
        call = _current.call
        if call.late or time.monotonic() > call.ends:  # the process may have slept
            raise TimeoutError("there was no connection in time")
        call.bytes_sent, call.socket = True, self.sock
        self.used = time.monotonic()
        super().send(data)  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        fresh = time.monotonic() - self.used < MAX_IDLE
        return fresh and bool(super().is_connected)  # type: ignore[misc]


class _TrackedHTTP(_TrackedConnection, HTTPConnection):
    pass


class _TrackedHTTPS(_TrackedConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _TrackedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TrackedHTTPS


class _Adapter(HTTPAdapter):
    """requests' own, with our connections; it never resends."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
