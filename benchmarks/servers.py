"""Which WSGI server: our receiver on SQLite under each, what it costs, and what it survives.

    python benchmarks/servers.py [--proxy] [NAME…]

It installs nothing: what is not there is left out, and named with the pip command that brings it.
With `--proxy`, each runs a second time with the nginx of deploy/ in front, reached by TLS.
"""

import argparse
import importlib.metadata
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import load
import ordeals
from candidates import SERVERS
from rich.console import Console

#: What the name of a server ends in that has a proxy in front.
BEHIND = ", nginx"

#: How many senders send at once, and how many requests they send.
SENDERS, REQUESTS = 16, 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SERVERS))
    parser.add_argument("--proxy", action="store_true", help="run each behind nginx, too")
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if arguments.serve:
        SERVERS[arguments.serve[0]][1](int(arguments.serve[1]))
        return
    columns = ("", "a second", "p50 ms", "p99 ms", "CPU ms", "MB", *ordeals.ORDEALS)
    table = load.table((*columns, "head, body cut off"))
    names = [name for name in arguments.names or SERVERS if _is_there(SERVERS[name][0])]
    if arguments.proxy:
        names = [each for name in names for each in (name, name + BEHIND)]
    rows = {}
    for name in names:
        rows[name] = [*_speed(name), *(_bear(name, each) for each in ordeals.ORDEALS.values())]
        print(name, *rows[name], sep=", ", file=sys.stderr)
    with ThreadPoolExecutor(len(SERVERS)) as side_by_side:  # it is long, and costs nothing
        cut_off = list(side_by_side.map(lambda name: _bear(name, ordeals.trickle), names))
    for name, last in zip(names, cut_off, strict=True):
        table.add_row(name, *rows[name], last)
    with tempfile.TemporaryDirectory() as folder:
        print(load.conditions(Path(folder)))
    Console(width=190).print(table)


def _is_there(packages: str) -> bool:
    try:
        return all(importlib.metadata.version(each) for each in packages.split())
    except importlib.metadata.PackageNotFoundError:
        print(f"left out, since it is not here: pip install {packages}", file=sys.stderr)
        return False


class Running:
    """One server with our app, in a new process on a new database; a proxy in front where its name
    says so.
    """

    def __init__(self, name: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.port = self._own_port = load.free_port()
        self.database = Path(self._folder.name) / "kept.db"
        settings = {
            "DESTINATION_DATABASE_URL": f"sqlite:///{self.database}",
            "DESTINATION_MAPPINGS": str(load.ROOT / "mappings"),
            "DESTINATION_PORT": str(self.port),
            "DESTINATION_SEGMENT_WRITE_KEYS": load.KEY,
        }
        own, _, _ = name.partition(BEHIND)
        program = [str(Path(__file__).resolve()), "--serve", own, str(self.port)]
        self.process = self._start(*program, **settings)
        self._processes = [self.process]
        if name != own:
            self.port = load.free_port()
            load.TLS_PORTS.add(self.port)
            program = ["-m", "tests.proxy", str(self.port), str(self._own_port)]
            self._processes.append(self._start(*program, self._folder.name))
        ordeals.until(lambda: ordeals.answers(self.port), "it never answered")

    def _start(self, *program: str, **settings: str) -> ordeals.Process:
        return subprocess.Popen(
            [sys.executable, *program],
            env={**os.environ, "PYTHONPATH": str(load.ROOT), **settings},
            cwd=self._folder.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            ordeals.end(process)
        self._folder.cleanup()

    def cpu(self) -> float:
        """Seconds of processor time that the server and the proxy have had."""
        return sum(load.cpu(process.pid) for process in self._processes)


def _speed(name: str) -> list[str]:
    try:
        return _measured(name)
    except SystemExit as error:
        return [str(error)[:12], "", "", "", ""]


def _measured(name: str) -> list[str]:
    with Running(name) as server:
        load.send(server.port, load.requests(300, 1), SENDERS)
        bodies = load.requests(REQUESTS, 1)
        spent, began = server.cpu(), time.perf_counter()
        took = load.send(server.port, bodies, SENDERS)
        seconds = time.perf_counter() - began
        cpu = (server.cpu() - spent) / REQUESTS * 1000
        p50, p99 = load.percentiles(took)
        memory = load.peak_memory(server.process.pid)
    return [f"{REQUESTS / seconds:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.2f}", str(memory)]


def _bear(name: str, ordeal: ordeals.Ordeal) -> str:
    """In a process of its own, so that one that falls does not take the next with it."""
    try:
        with Running(name) as server:
            return ordeal(server.port, server.process, server.database)
    except (OSError, SystemExit) as error:
        return f"no: {type(error).__name__}"


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn", force=True)
    main()
