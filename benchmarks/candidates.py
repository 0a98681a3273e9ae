"""The WSGI servers that benchmarks/servers.py compares, each started with our receiver."""

import asyncio
import ctypes
import functools
import importlib
import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ordeals

from destination.app import Setup
from destination.web.app import create_app

#: Threads that call the app.
THREADS = 16

#: Seconds that a body may take, where the server lets us say so.
BODY_WITHIN = 30

#: Requests that a server keeps waiting, where it wants to be told.
MANY = 4000


def make() -> Any:
    """The receiver, as `destination serve` makes it."""
    app = create_app(Setup.read().receiver())
    print("made", file=sys.stderr, flush=True)
    return app


def nothing(port: int) -> None:
    """No server, so as to see what the app itself costs."""
    serve_barely(make(), port)


def serve_barely(app: Any, port: int) -> None:
    """Call the app with what sockets bring, a thread each. It reads what benchmarks send."""

    def serve(connection: Any) -> None:
        while read := connection.recv(65536):
            head, _, body = read.partition(b"\r\n\r\n")
            method, path, _ = head.decode().split(" ", 2)
            _, _, answer = _call(app, method, path, [("Host", "localhost")], body)
            text = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
            connection.sendall(text.encode() + answer)

    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def ours(_: int) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "destination", "serve"])


def waitress(port: int) -> None:
    server = importlib.import_module("waitress.server").create_server(
        make(),
        host="127.0.0.1",
        port=port,
        threads=THREADS,
        connection_limit=MANY,
        channel_timeout=30,
        cleanup_interval=5,
        asyncore_use_poll=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()


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
    _granian(port, "wsgi", make, blocking_threads=threads, backpressure=backpressure)


def make_rsgi() -> Any:
    """Our app for granian's own interface: it waits for the body on the loop, with a bound, and
    takes a thread for the whole request only. It dies with granian's main process.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    app, pool = make(), ThreadPoolExecutor(THREADS)

    async def rsgi(scope: Any, protocol: Any) -> None:
        body = await asyncio.wait_for(protocol(), BODY_WITHIN)
        call = functools.partial(_call, app, scope.method, scope.path, scope.headers.items(), body)
        status, headers, answer = await asyncio.get_running_loop().run_in_executor(pool, call)
        protocol.response_bytes(status, headers, answer)

    return rsgi


def granian_rsgi(port: int) -> None:
    _granian(port, "rsgi", make_rsgi, backpressure=MANY)


def _granian(port: int, interface: str, app: Callable[[], Any], **bounds: int) -> None:
    found = importlib.import_module("granian")
    found.Granian(
        f"candidates:{app.__name__}",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=interface,
        http="1",
        websockets=False,
        workers_kill_timeout=10,
        log_enabled=False,
        **bounds,
    ).serve()


def uvicorn(port: int, loop: str) -> None:
    """The same on uvicorn's loop, with a parser in C."""
    app, pool = make(), ThreadPoolExecutor(THREADS)

    async def body_of(receive: Any) -> bytes:
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        body = await asyncio.wait_for(body_of(receive), BODY_WITHIN)
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        call = functools.partial(_call, app, scope["method"], scope["path"], headers, body)
        status, told, answer = await asyncio.get_running_loop().run_in_executor(pool, call)
        head = [(name.encode(), value.encode()) for name, value in told]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    options = {"http": "httptools", "loop": loop, "ws": "none", "lifespan": "off"}
    importlib.import_module("uvicorn").run(
        asgi, port=port, log_level="error", timeout_keep_alive=30, backlog=1024, **options
    )


def _call(
    app: Any, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Call a WSGI app with a whole request: its status, headers and body."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
    environ["CONTENT_TYPE"] = environ.get("HTTP_CONTENT_TYPE", "")
    environ["CONTENT_LENGTH"] = str(len(body))
    told: list[Any] = []
    answer = app(environ, lambda status, headers, _=None: told.extend((status, headers)))
    return int(told[0].split()[0]), told[1], b"".join(answer)


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
        "--disable-logging --post-buffering 8192 --need-app --module candidates:make()"
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


#: Each by its name: what must be installed, and how it is started.
SERVERS: dict[str, tuple[str, Callable[[int], None]]] = {
    "none, the app alone": ("werkzeug", nothing),
    "ours": ("uvicorn h11", ours),
    "waitress": ("waitress", waitress),
    "gunicorn gthread": ("gunicorn", gunicorn),
    "granian 16": ("granian", lambda port: granian(port, 16, 16)),
    "granian 16, 4000 wait": ("granian", lambda port: granian(port, 16, MANY)),
    "granian 256": ("granian", lambda port: granian(port, 256, 256)),
    "granian rsgi": ("granian", granian_rsgi),
    "uvicorn": ("uvicorn httptools", lambda port: uvicorn(port, "asyncio")),
    "uvicorn, uvloop": ("uvicorn httptools uvloop", lambda port: uvicorn(port, "uvloop")),
    "cheroot": ("cheroot", cheroot),
    "gevent": ("gevent", gevent),
    "uwsgi": ("uwsgi", uwsgi),
    "bjoern": ("bjoern", bjoern),
    "fastwsgi": ("fastwsgi", fastwsgi),
    "pyruvate": ("pyruvate", pyruvate),
}
