"""A request's body: as it came, and unpacked as far as its sender has shown who it is."""

import zlib
from dataclasses import dataclass

from destination.errors import Refused, TooLarge


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
    zlib.error for one that has no end, and for what is behind the last and is none.
    """
    parts, room = [], most + 1
    while packed and room > 0:
        member = zlib.decompressobj(wbits=31)
        part = member.decompress(packed, room)
        room -= len(part)
        parts.append(part)
        if room > 0 and not member.eof:
            raise zlib.error("it has no end")
        packed = member.unused_data
    return b"".join(parts)
