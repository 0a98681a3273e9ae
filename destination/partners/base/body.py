"""A request's body: as it came, and unpacked as far as its sender has shown who it is."""

import zlib
from dataclasses import dataclass

from destination.errors import Refused, TooLarge

#: Bytes that are unpacked in one go, and members of a gzip file that are read.
PIECE, MOST_MEMBERS = 65_536, 100


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body of a request to one of our webhooks."""

    #: The bytes as they came: what a signature is over.
    raw: bytes
    #: Whether they are gzipped: one member, or several behind each other.
    gzipped: bool = False
    #: How many bytes it may have, unpacked; and the largest call in it.
    most: int = 64 * 1024 * 1024
    largest_call: int = 32 * 1024

    def beginning(self, size: int) -> bytes:
        """Its first `size` bytes, unpacked; fewer where it ends before, or cannot be unpacked."""
        if not self.gzipped:
            return self.raw[:size]
        try:
            return _unpacked(self.raw, size)[:size]
        except zlib.error:
            return b""

    def whole(self) -> bytes:
        """All of it, unpacked. Raises TooLarge, and Refused for what is not gzip to its end."""
        if not self.gzipped:
            return self.raw
        try:
            found = _unpacked(self.raw, self.most)
        except zlib.error as error:
            said = "The body is not gzip, though Content-Encoding says so, or is cut off."
            raise Refused("bad_request", said) from error
        if len(found) > self.most:
            raise TooLarge(f"Unpacked, the body has more than {self.most:,} bytes.")
        return found


def _unpacked(packed: bytes, most: int) -> bytes:
    """The members of a gzip file, unpacked until there are more than `most` bytes. Raises
    zlib.error for one that has no end, for what is behind the last and is none, and for too many:
    a stranger may send a thousand that are empty.
    """
    parts, room, at, members, begun = [], most + 1, 0, 0, False
    member = zlib.decompressobj(wbits=31)
    while at < len(packed) and room > 0:
        piece = packed[at : at + PIECE]
        part = member.decompress(piece, room)
        parts.append(part)
        room -= len(part)
        at += len(piece) - len(member.unused_data) - len(member.unconsumed_tail)
        begun = not member.eof
        if member.eof:
            members += 1
            if members == MOST_MEMBERS and at < len(packed):
                raise zlib.error(f"it has more than {MOST_MEMBERS} members")
            member = zlib.decompressobj(wbits=31)
    if begun and room > 0:
        raise zlib.error("it has no end")
    return b"".join(parts)
