"""Where an address that a stranger supplied may lead: in no spelling to a network of ours."""

import socket
import threading

import pytest

from destination.model.request import Request
from destination.model.verdict import Trouble
from destination.outbound.client import Client
from destination.outbound.ssrf_guard import BadAddress, Guard
from tests.misbehaving import answers, read_request, response, server

STRICT = Guard()
PLAIN = Guard(allow_http=True)
OPEN = Guard(allow_private=True, allow_http=True)

#: Addresses of no public network, as a resolver gives them.
CLOSED = [
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]

#: What some program reads as an address of this machine, of a private network or of a cloud.
DISGUISED = [
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://127.0.0.1.:443/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[::]/",
    "https://[::1]./",
    "https://[127.0.0.1]/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://user@127.0.0.1/",
    "https://example.com@127.0.0.1/",
    "https://example.com:443@127.0.0.1/",
    "https://127.0.0.1:80\\@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1?@example.com/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://2852039166/",
    "https://169.254.43518/",
    "https://100.100.100.200/",
    "https://10.0.0.1/",
    "https://3232235521/",
]

#: No URL that a notification could be sent to.
NO_ADDRESS = [
    "",
    "example.com",
    "//example.com/",
    "https:///path",
    "https://",
    "https://.",
    "https://exa mple.com/",
    "https://example.com/\r\nHost: internal",
    "https://example.com\t/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://[example.com]/",
    "https://[::1/",
    "https://example..com/",
    "https://-example.com/",
    "https://exämple.com/",
    "https://example.com/#part",
    "https://user:password@example.com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2000,
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com/",
    "javascript:alert(1)",
]


def permitted(guard, address, monkeypatch):
    """Whether the guard lets a name lead to this address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    try:
        guard.check("https://subscriber.example/")
    except BadAddress:
        return False
    return True


@pytest.mark.parametrize("address", CLOSED)
def test_no_address_outside_the_public_internet_is_reached(address, monkeypatch):
    assert not permitted(STRICT, address, monkeypatch)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111"]
)
def test_public_addresses_are_reached(address, monkeypatch):
    assert permitted(STRICT, address, monkeypatch)


@pytest.mark.parametrize("url", DISGUISED)
def test_no_spelling_hides_an_address(url):
    with pytest.raises(BadAddress):
        STRICT.check(url)


@pytest.mark.parametrize("guard", [STRICT, OPEN], ids=["strict", "open"])
@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_address_is_refused_and_said_so(guard, url):
    with pytest.raises(BadAddress, match=r"\w{3}"):
        guard.check(url)


def test_tls_is_needed_unless_a_setting_says_otherwise():
    with pytest.raises(BadAddress, match="https://"):
        STRICT.check("http://subscriber.example/")
    PLAIN.check("http://8.8.8.8/")


def test_a_setting_opens_private_networks_and_nothing_else(monkeypatch):
    for address in ("10.0.0.1", "127.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"):
        assert permitted(OPEN, address, monkeypatch)
    for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "224.0.0.1", "fe80::1"):
        assert not permitted(OPEN, address, monkeypatch)


def test_a_name_that_is_not_resolved_now_may_be_saved():
    STRICT.check("https://no.such.host.invalid/path?query=1")


def exchange(url, guard):
    client = Client(
        url, headers={}, connect_timeout=1.0, read_timeout=1.0, connections=1, guard=guard
    )
    try:
        return client.exchange(Request(method="POST", path="/x", body="{}", idempotent=True))
    finally:
        client.close()


def test_a_connection_is_refused_where_it_leads_to_this_machine():
    arrived = []

    with server(lambda connection: arrived.append(connection)) as url:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0"):
            got = exchange(url.replace("127.0.0.1", host), PLAIN)
            assert got.trouble is Trouble.NOT_SENT
    assert arrived == []


def test_the_answer_that_was_checked_is_the_one_connected_to(monkeypatch):
    """DNS rebinding: every question has another answer, and there is one question."""
    asked = []

    def rebinding(host, port, **_):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    received = []

    def script(connection):
        received.append(read_request(connection))
        connection.sendall(response(200))

    with server(script) as url:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        got = exchange(url.replace("127.0.0.1", "subscriber.example"), OPEN)
    assert (got.status, asked) == (200, ["subscriber.example"])
    assert b"\r\nHost: subscriber.example:" in received[0]


def test_a_name_that_leads_both_ways_is_connected_to_where_it_may_be(monkeypatch):
    with server(answers(response(200))) as url:

        def both(host, port, **_):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("169.254.169.254", "127.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert exchange(url.replace("127.0.0.1", "subscriber.example"), OPEN).status == 200


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    with server(answers(response(200))) as proxy, server(answers(response(204))) as url:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")

        assert exchange(url, OPEN).status == 204
        assert exchange(url, None).status == 200
        assert exchange(url, PLAIN).trouble is Trouble.NOT_SENT


def test_without_tls_nothing_is_sent_where_that_is_not_allowed_any_more():
    arrived = []

    with server(lambda connection: arrived.append(connection)) as url:
        got = exchange(url, Guard(allow_private=True))
        assert got.trouble is Trouble.NOT_SENT
        assert "DESTINATION_WEBHOOK_ALLOW_HTTP=yes" in got.answer
        assert arrived == []
        exchange(url.replace("http:", "https:"), Guard(allow_private=True))
    assert len(arrived) == 1


def test_a_redirect_to_this_machine_is_not_followed():
    with server(answers(response(307, b"", "Location: http://127.0.0.1:1/"))) as url:
        assert exchange(url, OPEN).status == 307


def test_an_address_that_does_not_answer_ends_in_time():
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    full = [socket.socket() for _ in range(3)]
    for each in full:
        each.setblocking(False)
        each.connect_ex(listener.getsockname())
    got = []
    call = threading.Thread(
        target=lambda: got.append(exchange(f"http://127.0.0.1:{listener.getsockname()[1]}", OPEN))
    )
    call.start()
    call.join(20)
    for each in (*full, listener):
        each.close()
    assert got[0].trouble is Trouble.NOT_SENT
