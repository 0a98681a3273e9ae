"""A network that fails: a TCP proxy which drops connections, and leaves others half open."""

import argparse
import asyncio
import contextlib
import random
import socket
import struct

#: What may befall a connection, and how often; the rest of them are well.
FATES = {
    "reset at once": 0.03,
    "request cut": 0.03,
    "answer cut": 0.03,
    "request swallowed": 0.01,
    "answer swallowed": 0.01,
}

#: It befalls one of the first pieces that go this way over a connection.
WITHIN = 20

#: Seconds after which a half-open connection is closed, when both sides have given it up.
HALF_OPEN = 30.0


class Link:
    """One connection and its fate."""

    def __init__(self, fate: str, piece: int) -> None:
        self._fate = fate
        self._left = piece

    async def run(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
    ) -> None:
        """Pass on what comes from either side, until its fate befalls it."""
        with contextlib.suppress(OSError):
            if self._fate == "reset at once":
                _reset(writer)
                return
            there, back = await asyncio.open_connection("127.0.0.1", port)
            ways = (
                self._pass(reader, back, writer, "request"),
                self._pass(there, writer, back, "answer"),
            )
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            back.close()
        writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        way: str,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                self._left -= self._fate.startswith(way)
                if self._left > 0 or not self._fate.startswith(way):
                    onward.write(piece)
                    await onward.drain()
                elif self._fate.endswith("swallowed"):
                    await asyncio.sleep(HALF_OPEN)
                    return
                else:
                    onward.write(piece[: len(piece) // 2])
                    await onward.drain()
                    _reset(onward)
                    _reset(other)
                    return


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _main(port: int, to: int, seed: int, first: str | None) -> None:
    given = [first] if first else []
    chance = random.Random(seed)
    fates = [*FATES, "none"]
    weights = [*FATES.values(), 1 - sum(FATES.values())]

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if first is not None:
            found = Link(given.pop() if given else "none", 1)
        else:
            [fate] = chance.choices(fates, weights)
            found = Link(fate, chance.randint(1, WITHIN))
        await found.run(reader, writer, to)

    server = await asyncio.start_server(link, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True, help="The engine's port.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--first", choices=FATES, help="Befalls the first connection, and no other."
    )
    options = parser.parse_args()
    asyncio.run(_main(options.port, options.to, options.seed, options.first))
