"""Which WSGI server: our receiver on SQLite under each, what it costs, and what it survives.

    python benchmarks/servers.py [NAME…]

It installs nothing: what is not there is left out, and named with the pip command that brings it.
"""

import argparse
import importlib
import importlib.metadata
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import load
import ordeals
from rich import box
from rich.console import Console
from rich.table import Table

from destination.cli.setup import Setup
from destination.web.app import create_app

#: How many senders send at once, and how many requests they send.
SENDERS, REQUESTS = 16, 3000

THREADS = 16

#: Requests that a server keeps waiting, where it wants to be told.
MANY = 4000


def make() -> Any:
    """The receiver, as `destination serve` makes it."""
    app = create_app(Setup.read().receiver())
    print("made", file=sys.stderr, flush=True)
    return app


def nothing(port: int) -> None:
    """No server: a socket is read and the app called, so as to see what the app itself costs."""
    app = make()

    def serve(connection: Any) -> None:
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        while head := connection.recv(65536):
            body = head.partition(b"\r\n\r\n")[2]
            path = head.split(b" ", 2)[1].decode()
            environ = EnvironBuilder(path, method=head.split(b" ")[0].decode(), data=body)
            answer, _, _ = run_wsgi_app(app, environ.get_environ())
            text = b"".join(answer)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def waitress(_: int) -> None:
    from destination.cli.service import _receive
    from destination.settings import Environment, Settings

    receiver = Setup.read().receiver()
    print("made", file=sys.stderr, flush=True)
    _receive(receiver, Environment.load().read(Settings))


def gunicorn(port: int) -> None:
    base = importlib.import_module("gunicorn.app.base").BaseApplication

    class Application(base):  # type: ignore[misc, valid-type]
        def load_config(self) -> None:
            for name, value in {
                "bind": f"127.0.0.1:{port}",
                "worker_class": "gthread",
                "threads": THREADS,
                "worker_connections": MANY,
                "keepalive": 30,
            }.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return make()

    Application().run()


def granian(port: int, threads: int, backpressure: int) -> None:
    found = importlib.import_module("granian")
    found.Granian(
        "servers:make",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface="wsgi",
        http="1",
        websockets=False,
        blocking_threads=threads,
        backpressure=backpressure,
        workers_kill_timeout=10,
        log_enabled=False,
    ).serve()


def cheroot(port: int) -> None:
    server = importlib.import_module("cheroot.wsgi").Server
    found = server(("127.0.0.1", port), make(), numthreads=THREADS, request_queue_size=1024)
    ordeals.on_sigterm(found.stop)
    found.safe_start()


def gevent(port: int) -> None:
    importlib.import_module("gevent.monkey").patch_all()
    found = importlib.import_module("gevent.pywsgi").WSGIServer(
        ("127.0.0.1", port), make(), log=None, backlog=1024
    )
    ordeals.on_sigterm(found.stop)
    found.serve_forever()


def uwsgi(port: int) -> None:
    options = (
        f"--http-socket 127.0.0.1:{port} --http-keepalive --so-keepalive --master --no-orphans "
        f"--die-on-term --lazy-apps --enable-threads --threads {THREADS} --listen 100 "
        "--disable-logging --post-buffering 8192 --need-app --module servers:make()"
    )
    program = str(Path(sys.executable).with_name("uwsgi"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    os.execve(program, [program, *options.split()], environment)


def bjoern(port: int) -> None:
    importlib.import_module("bjoern").run(make(), "127.0.0.1", port)


def fastwsgi(port: int) -> None:
    importlib.import_module("fastwsgi").run(make(), host="127.0.0.1", port=port)


def pyruvate(port: int) -> None:
    importlib.import_module("pyruvate").serve(make(), f"127.0.0.1:{port}", THREADS)


#: Each server by its name: what must be installed, and how it is started.
SERVERS: dict[str, tuple[str, Callable[[int], None]]] = {
    "none, the app alone": ("werkzeug", nothing),
    "waitress": ("waitress", waitress),
    "gunicorn gthread": ("gunicorn", gunicorn),
    "granian 16": ("granian", lambda port: granian(port, 16, 16)),
    "granian 16, 4000 wait": ("granian", lambda port: granian(port, 16, MANY)),
    "granian 256": ("granian", lambda port: granian(port, 256, 256)),
    "cheroot": ("cheroot", cheroot),
    "gevent": ("gevent", gevent),
    "uwsgi": ("uwsgi", uwsgi),
    "bjoern": ("bjoern", bjoern),
    "fastwsgi": ("fastwsgi", fastwsgi),
    "pyruvate": ("pyruvate", pyruvate),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SERVERS))
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if arguments.serve:
        SERVERS[arguments.serve[0]][1](int(arguments.serve[1]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("", "a second", "p50 ms", "p99 ms", "CPU ms", "MB", *ordeals.ORDEALS)
    for column in (*columns, "head, body cut off"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    names = [name for name in arguments.names or SERVERS if _is_there(SERVERS[name][0])]
    rows = {}
    for name in names:
        rows[name] = [*_speed(name), *(_bear(name, each) for each in ordeals.ORDEALS.values())]
        print(name, *rows[name], sep=", ", file=sys.stderr)
    with ThreadPoolExecutor(len(SERVERS)) as side_by_side:  # it is long, and costs nothing
        cut_off = list(side_by_side.map(lambda name: _bear(name, ordeals.trickle), names))
    for name, last in zip(names, cut_off, strict=True):
        table.add_row(name, *rows[name], last)
    Console(width=150).print(table)


def _is_there(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        print(f"left out, since it is not here: pip install {package}", file=sys.stderr)
        return False
    return True


class Running:
    """One server with our app, in a new process on a new database."""

    def __init__(self, name: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.port = load.free_port()
        self.database = Path(self._folder.name) / "kept.db"
        settings = {
            "DESTINATION_DATABASE_URL": f"sqlite:///{self.database}",
            "DESTINATION_MAPPINGS": str(load.ROOT / "mappings"),
            "DESTINATION_PORT": str(self.port),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve", name, str(self.port)],
            env={**os.environ, **settings},
            cwd=self._folder.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ordeals.until(lambda: ordeals.answers(self.port), "it never answered")

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        ordeals.end(self.process)
        self._folder.cleanup()


def _speed(name: str) -> list[str]:
    try:
        return _measured(name)
    except SystemExit as error:
        return [str(error)[:12], "", "", "", ""]


def _measured(name: str) -> list[str]:
    with Running(name) as server:
        load.send(server.port, load.requests(300, 1), SENDERS)
        bodies = load.requests(REQUESTS, 1)
        spent, began = load.cpu(server.process.pid), time.perf_counter()
        took = load.send(server.port, bodies, SENDERS)
        seconds = time.perf_counter() - began
        cpu = (load.cpu(server.process.pid) - spent) / REQUESTS * 1000
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
