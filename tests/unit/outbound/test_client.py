"""The HTTP client, against servers that misbehave."""

import threading
import time
from http.client import HTTPConnection

import pytest
from urllib3.connection import HTTPConnection as TracedConnection

from destination.model.request import Request
from destination.model.verdict import Trouble
from destination.outbound import client as http_client
from destination.outbound.client import MAX_ANSWER_BYTES, Client
from tests import misbehaving
from tests.misbehaving import answers, read_request, response, server

AWARD = Request(method="POST", path="/events/invoke", body='{"a":"é"}', idempotent=False)


def client(url, **options):
    options = {
        "connect_timeout": 1.0,
        "read_timeout": 1.0,
        "connections": 4,
        "headers": {},
        **options,
    }
    return Client(url, **options)


def exchange(script):
    with server(script) as url:
        return client(url).exchange(AWARD)


def test_an_answer_is_kept_with_its_status_and_retry_after():
    got = exchange(answers(response(503, b"busy", "Retry-After: 7")))

    assert (got.status, got.answer, got.retry_after, got.trouble) == (503, "busy", "7", None)


def test_the_request_carries_the_body_the_credentials_and_one_content_type():
    received = []

    def script(connection):
        received.append(read_request(connection))
        connection.sendall(response(200))

    with server(script) as url:
        client(url, headers={"Authorization": "Basic eDp5"}).exchange(AWARD)
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert body == '{"a":"é"}'.encode()
    assert b"\r\nAuthorization: Basic eDp5\r\n" in head + b"\r\n"
    assert head.lower().count(b"content-type: application/json") == 1
    assert head.startswith(b"POST /events/invoke HTTP/1.1")


def test_head_and_body_leave_in_one_piece(monkeypatch):
    sent, send = [], HTTPConnection.send

    def note(connection, data):
        sent.append(data)
        send(connection, data)

    monkeypatch.setattr(HTTPConnection, "send", note)
    assert exchange(answers(response(200))).status == 200
    [piece] = sent
    assert piece.startswith(b"POST /events/invoke")
    assert piece.endswith(b"\r\n\r\n" + AWARD.body.encode())


def test_a_redirect_is_not_followed():
    got = exchange(answers(response(302, b"", "Location: http://127.0.0.1:1/")))

    assert got.status == 302


def test_a_connection_is_used_again():
    connections = []

    def script(connection):
        connections.append(connection)
        while read_request(connection):
            connection.sendall(response(200))

    with server(script) as url:
        calls = client(url)
        assert [calls.exchange(AWARD).status for _ in range(3)] == [200, 200, 200]
    assert len(connections) == 1


def test_closing_ends_the_idle_connections():
    ended = threading.Event()

    def script(connection):
        while read_request(connection):
            connection.sendall(response(200))
        ended.set()

    with server(script) as url:
        calls = client(url)
        assert calls.exchange(AWARD).status == 200
        calls.close()
        assert ended.wait(20)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://no.such.host.invalid", "nonsense", "https://127.0.0.1:1"]
)
def test_without_a_connection_nothing_was_sent(url):
    assert client(url).exchange(AWARD).trouble is Trouble.NOT_SENT


def test_when_tls_fails_nothing_was_sent():
    with server(answers(response(200))) as url:
        got = client(url.replace("http:", "https:")).exchange(AWARD)

    assert got.trouble is Trouble.NOT_SENT


def cut_after_the_request(connection):
    read_request(connection)
    misbehaving.reset(connection)


def cut_in_the_headers(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def cut_between_two_headers(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nServer: x\r\n")


def cut_in_the_body(connection):
    read_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"mess')


def cut_in_a_chunk(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc")


def sends_a_chunk_of_negative_size(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n")


def answers_garbage(connection):
    read_request(connection)
    connection.sendall(b"\x00\x01 what?\r\n\r\n")


def answers_ten_thousand_headers(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n")


@pytest.mark.parametrize(
    "script",
    [
        cut_after_the_request,
        cut_in_the_headers,
        cut_between_two_headers,
        cut_in_the_body,
        cut_in_a_chunk,
        sends_a_chunk_of_negative_size,
        answers_garbage,
        answers_ten_thousand_headers,
    ],
)
def test_an_answer_that_is_not_whole_is_lost(script):
    assert exchange(script).trouble is Trouble.CONNECTION_LOST


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"email":"ada@example.com"}\r\n\r\n', "BadStatusLine"),
        (b"HTTP/1.1 ada@example.com OK\r\n\r\n", "ValueError"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nada@example.com\r\n",
            "ValueError",
        ),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", "the answer ended in its headers"),
    ],
)
def test_the_words_of_a_broken_answer_quote_nothing_of_it(answer, words):
    def script(connection):
        read_request(connection)
        connection.sendall(answer)

    assert exchange(script).answer == words  # they are logged


def says_nothing(connection):
    read_request(connection)
    connection.recv(1)


def drips_headers(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-A: b\r\n")
        time.sleep(0.1)


def drips_a_body(connection):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("script", [says_nothing, drips_headers, drips_a_body])
def test_a_call_ends_with_its_timeouts_however_slow_the_answer(script):
    began = time.monotonic()

    assert exchange(script).trouble is Trouble.TIMEOUT
    assert time.monotonic() - began < 10  # the two timeouts are two seconds; it would never end


def test_only_64_kb_of_an_endless_answer_are_kept():
    def endless(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    got = exchange(endless)

    assert (got.status, len(got.answer)) == (200, MAX_ANSWER_BYTES)


def test_an_answer_is_not_unpacked():
    got = exchange(answers(response(200, b"\x1f\x8bnot gzip at all", "Content-Encoding: gzip")))

    assert got.status == 200


def test_cutting_ends_the_calls_under_way():
    began = []

    def hangs(connection):
        read_request(connection)
        began.append(True)
        connection.recv(1)

    with server(hangs) as url:
        calls = client(url, read_timeout=30.0)
        results = []
        thread = threading.Thread(target=lambda: results.append(calls.exchange(AWARD)))
        thread.start()
        while not began:
            time.sleep(0.01)
        calls.cut()
        thread.join(5)
    assert results[0].trouble is Trouble.TIMEOUT


def test_an_answer_may_end_with_its_connection_where_the_server_says_so():
    def script(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndone")

    assert exchange(script).answer == "done"


def test_an_idle_connection_is_not_used_again(monkeypatch):
    connections = []

    def script(connection):
        connections.append(connection)
        while read_request(connection):
            connection.sendall(response(200))

    monkeypatch.setattr("destination.outbound.client.MAX_IDLE", 0.0)
    with server(script) as url:
        calls = client(url)
        calls.exchange(AWARD)
        calls.exchange(AWARD)
    assert len(connections) == 2


class SleepyClock:
    """Real time, and what the process has slept."""

    slept = 0.0

    def monotonic(self):
        return time.monotonic() + self.slept


def test_a_process_that_slept_while_it_connected_sends_nothing(monkeypatch):
    """As after a SIGSTOP: its thread goes on before the watch has seen how late it is."""
    received, clock, connect = [], SleepyClock(), TracedConnection.connect

    def sleeps(connection):
        connect(connection)
        clock.slept += 5.0

    monkeypatch.setattr(TracedConnection, "connect", sleeps)
    monkeypatch.setattr(http_client, "time", clock)
    monkeypatch.setattr(http_client._Deadlines, "_run", lambda _: None)
    with server(lambda connection: received.append(read_request(connection))) as url:
        got = client(url).exchange(AWARD)

    assert got.trouble is Trouble.NOT_SENT
    assert received in ([], [b""])
