"""What the nginx of deploy/ passes on to a receiver, and what it keeps from it."""

import hashlib
import hmac
import json
import shutil
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.misbehaving import read_request, response, server
from tests.proxy import nginx
from tests.running import answers, free_port, service, until

pytestmark = pytest.mark.skipif(
    not shutil.which("nginx"), reason="nginx is not installed: apt-get install nginx"
)

SECRET = "abc123"

CALL = {"type": "track", "messageId": "m1", "userId": "ada", "event": "Order Completed"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> Iterator[int]:
    """The port of nginx in front of `destination serve`."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    with (
        service(folder, SEGMENT_SHARED_SECRET=SECRET, LOG_FORMAT="json") as running,
        nginx(folder, port=port, receiver=running.port) as process,
    ):
        running.start("serve")
        until(lambda: answers(f"{running.url}/readyz"))
        until(lambda: process.poll() is not None or is_listening(port))
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield port


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def by_tls(port: int) -> ssl.SSLSocket:
    """A connection to the proxy, whose certificate is nobody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))


@pytest.fixture
def ask(proxy):
    """Sends a whole request; the status of the answer, and its body."""

    def ask(request: str, *headers: str, body: bytes = b"") -> tuple[int, bytes]:
        lines = [f"{request} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        lines.append(f"Content-Length: {len(body)}")
        with by_tls(proxy) as connection:
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            with connection.makefile("rb") as answer:
                head, _, told = answer.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), told

    return ask


def signed(body: bytes) -> str:
    return f"X-Signature: {hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()}"


def test_a_signed_call_is_passed_on(ask):
    body = json.dumps(CALL).encode()
    status, told = ask("POST /webhooks/segment", signed(body), body=body)

    assert status == 200
    assert json.loads(told)["results"][0]["messageId"] == "m1"


def test_a_call_that_is_not_signed_is_answered_401(ask):
    status, told = ask("POST /webhooks/segment", body=b"{}")

    assert (status, json.loads(told)["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/readyz",
        "/openapi",
        "/openapi.json",
        "//metrics",
        "/v1/../metrics",
        "/metrics/../v1/track",
        "/v1/%2e%2e/metrics",
        "/v1%2f..%2fmetrics",
        "/metrics%3f/../v1/track",
    ],
)
def test_what_is_for_the_inside_is_not_public(ask, path):
    status, told = ask(f"GET {path}")

    assert status in (404, 405)
    assert json.loads(told)["code"] in ("not_found", "method_not_allowed")


def test_a_receiver_is_told_who_asks_and_of_no_upgrade(tmp_path):
    port, heads = free_port(), []

    def note(connection: socket.socket) -> None:
        while request := read_request(connection):
            heads.append(request.lower())
            connection.sendall(response(200))

    asks = b"GET /healthz HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.1\r\n"
    asks += b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    with server(note) as url, nginx(tmp_path, port=port, receiver=int(url.rpartition(":")[2])):
        until(lambda: is_listening(port))
        with by_tls(port) as connection:
            connection.sendall(asks)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")

    [head] = heads
    assert b"upgrade:" not in head
    assert b"x-forwarded-for: 127.0.0.1\r\n" in head
    assert b"x-forwarded-host: example.com\r\n" in head
    assert b"x-forwarded-proto: https\r\n" in head


def test_requests_share_a_connection_to_the_receiver(tmp_path):
    port, connections = free_port(), []

    def note(connection: socket.socket) -> None:
        connections.append(connection)
        while read_request(connection):
            connection.sendall(response(200))

    with server(note) as url, nginx(tmp_path, port=port, receiver=int(url.rpartition(":")[2])):
        until(lambda: is_listening(port))
        with by_tls(port) as connection:
            for _ in range(3):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")

    assert len(connections) == 1


def test_a_head_of_100_kb_is_refused(ask):
    # Of 10 KB each: it is the sum that counts.
    many = [f"X-Many-{number}: {'x' * 10_000}" for number in range(10)]
    status, told = ask("GET /healthz", *many)

    assert (status, json.loads(told)["code"]) == (431, "head_too_large")


def test_a_body_of_more_than_5_mb_is_refused(ask):
    status, told = ask("POST /webhooks/segment", body=b"x" * (5 * 1024 * 1024 + 1))

    assert (status, json.loads(told)["code"]) == (413, "too_large")


def test_a_head_that_trickles_is_cut_off(proxy):
    with by_tls(proxy) as connection:
        began = time.monotonic()
        connection.settimeout(0.5)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        while time.monotonic() - began < 25:
            try:
                connection.sendall(b"x")
                if not connection.recv(1000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        took = time.monotonic() - began

    assert 9 < took < 15
