"""Guard against SSRF: where an address that a stranger supplied may lead.

It is checked when it is saved and with every connection. A connection resolves the name once,
checks the address and goes to that very address. So DNS rebinding, an answer that changes between
the check and the connection, leads nowhere.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from destination.errors import Problem
from destination.outbound import dns

#: The longest URL that is taken.
MAX_URL_LENGTH = 2000

#: Seconds that saving a URL waits for the name to be resolved: connecting resolves it anyway.
_RESOLVE_WITHIN = 2.0

#: Networks that nobody outside may make us reach, and whether `allow_private` opens them.
#: IANA's registries of special-purpose addresses, and what clouds have put elsewhere.
_CLOSED = [
    (ip_network(network), private)
    for network, private in (
        ("0.0.0.0/8", False),  # this host
        ("10.0.0.0/8", True),
        ("100.100.100.200/32", False),  # a cloud's metadata
        ("100.64.0.0/10", True),  # shared by a provider's customers (CGNAT)
        ("127.0.0.0/8", True),
        ("168.63.129.16/32", False),  # a cloud's metadata
        ("169.254.0.0/16", False),  # link-local, and metadata
        ("172.16.0.0/12", True),
        ("192.0.0.0/24", False),
        ("192.0.2.0/24", False),  # documentation
        ("192.88.99.0/24", False),  # 6to4 relays
        ("192.168.0.0/16", True),
        ("198.18.0.0/15", False),  # benchmarks
        ("198.51.100.0/24", False),  # documentation
        ("203.0.113.0/24", False),  # documentation
        ("224.0.0.0/4", False),  # multicast
        ("240.0.0.0/4", False),  # reserved, and broadcast
        ("::1/128", True),
        ("fd00:ec2::/32", False),  # a cloud's metadata
        ("fc00::/7", True),  # unique local
        ("2001::/23", False),  # Teredo and other protocols
        ("2001:db8::/32", False),  # documentation
        ("2002::/16", False),  # 6to4
        ("3fff::/20", False),  # documentation
    )
]

#: All of IPv6 that is handed out to networks. Outside of it stand v4-mapped and v4-compatible
#: addresses, NAT64, link-local, site-local and multicast.
_GLOBAL_V6 = ip_network("2000::/3")

# A label is letters, digits, - and _. Other alphabets are written in punycode.
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")

# What programs read as a number: 127, 0x7f, 0177. A name never ends in one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class BadAddress(Problem, OSError):
    """An address leads where it must not, or cannot be read: the message says which part is wrong,
    and what to write.

    It is an OSError too, so that connecting fails by it as it fails for other reasons.
    """


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Where a destination may be whose address a stranger supplied."""

    #: Whether it may be in a private network, or on this machine.
    allow_private: bool = False
    #: Whether it may be spoken with in plain text.
    allow_http: bool = False

    def check(self, url: str) -> None:
        """Raises BadAddress unless `url` may be saved. A name that cannot be resolved now may:
        it is resolved and checked with every connection.
        """
        host, literal, port = self._parse(url)
        for address in [host] if literal else _resolved(host, port):
            self._permit(address, host)

    def connect(
        self,
        host: str,
        port: int,
        *,
        tls: bool,
        timeout: float,
        socket_options: Sequence[dns.SocketOption],
    ) -> socket.socket:
        """A connection to the first address of `host` that is permitted and answers; `tls` says
        whether TLS will be spoken on it.

        Raises BadAddress where none is permitted, OSError where none answers.
        """
        if not (tls or self.allow_http):  # it was saved while that was allowed
            raise BadAddress(
                f"{host} would be reached without TLS. Save an address that begins with https://, "
                "or set DESTINATION_WEBHOOK_ALLOW_HTTP=yes"
            )
        return dns.connect(
            host,
            port,
            timeout=timeout,
            socket_options=socket_options,
            permit=lambda address: self._permit(address, host),
        )

    def _parse(self, url: str) -> tuple[str, bool, int]:
        """The host of a URL, whether the host is an address and not a name, and the port. Raises
        BadAddress for a URL that two programs might read differently.
        """
        if len(url) > MAX_URL_LENGTH or not re.fullmatch(r"[!-\[\]-~]+", url):
            raise BadAddress(
                f"a URL has at most {MAX_URL_LENGTH:,} characters, all of them ASCII, without "
                "spaces and backslashes. Write other alphabets in punycode or percent-encoded."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadAddress("its host or port cannot be read") from error
        wanted = ("https", "http") if self.allow_http else ("https",)
        if parts.scheme not in wanted:
            raise BadAddress(f"it must begin with {' or '.join(f'{one}://' for one in wanted)}")
        if "@" in parts.netloc:
            raise BadAddress("a URL must not hold credentials. Send them in a header")
        if parts.fragment:
            raise BadAddress("a URL to send to has no fragment. Leave out what follows the #")
        host = (parts.hostname or "").removesuffix(".")
        literal = _is_address(host, bracketed="[" in parts.netloc)
        return host, literal, port or {"https": 443, "http": 80}[parts.scheme]

    def _permit(self, address: str, host: str) -> None:
        """Raises BadAddress for an address that must not be reached."""
        found = ip_address(address.partition("%")[0])  # without the scope of a link
        closed = [private for network, private in _CLOSED if found in network]
        if isinstance(found, IPv6Address) and not closed and found not in _GLOBAL_V6:
            closed = [False]
        if closed and not (self.allow_private and all(closed)):
            raise BadAddress(f"{host} leads to {address}, which is not on the public internet")


def _is_address(host: str, *, bracketed: bool) -> bool:
    """Whether a host is an address and not a name. Raises BadAddress for a host that two programs
    might read differently.
    """
    number = bool(_NUMBER.fullmatch(host.rpartition(".")[2]))
    try:
        if bracketed:
            IPv6Address(host)
        elif number:
            IPv4Address(host)
    except ValueError as error:
        raise BadAddress(
            "its host is no address: write four decimal numbers, or IPv6 in brackets"
        ) from error
    if not (bracketed or number) and (len(host) > 253 or not _NAME.fullmatch(host)):
        raise BadAddress("its host is no name. Write it as in https://example.com/path")
    return bracketed or number


def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a name; none where it is not resolved in time."""
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1"]  # whatever a resolver says
    try:
        return [str(found[4][0]) for found in dns.look_up(host, port, _RESOLVE_WITHIN)]
    except OSError:
        return []
