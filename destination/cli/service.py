"""The commands that run: serve, worker, sandbox, migrate."""

import ipaddress
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click
import structlog
from waitress.server import create_server

from destination import logs, metrics
from destination.cli.setup import Setup
from destination.database import Database, connect
from destination.errors import BadSetting, Problem
from destination.roster import Roster
from destination.sandbox import serve as serve_sandbox
from destination.settings import Environment, Settings
from destination.store import holds
from destination.web.app import create_app
from destination.web.receive import Receiver
from destination.wording import listed
from destination.worker import Worker

log = structlog.get_logger()

#: Where the sandbox listens, and the key and secret that it accepts.
SANDBOX_PORT = 8090
SANDBOX_KEY = "sandbox"

#: Connections that the receiver keeps open at once: slow senders cost no thread, but one each.
MAX_CONNECTIONS = 4000

#: Seconds after which a connection on which nothing happens is closed.
IDLE_CONNECTION = 30

#: Seconds that the processes beside the receiver have to stop.
STOP_WITHIN = 10.0


@click.command()
@click.option("--worker", "with_worker", is_flag=True, help="Start a worker beside the receiver.")
@click.option(
    "--sandbox",
    "with_sandbox",
    is_flag=True,
    help="Start the sandbox engine too, and deliver to it instead of the real one.",
)
@click.option(
    "--sandbox-port",
    default=SANDBOX_PORT,
    show_default=True,
    help="Where the sandbox engine listens on 127.0.0.1.",
)
def serve(with_worker: bool, with_sandbox: bool, sandbox_port: int) -> None:
    """Receive Segment's calls.

    \b
    Examples:
      destination serve                      the receiver alone
      destination serve --worker             one machine: receiver and worker
      destination serve --worker --sandbox   practise without a real engine
    """
    setup = Setup.read()
    logs.configure(setup.settings.log_format)
    _refuse_strangers(setup)
    port = _free_port()
    told = f"http://127.0.0.1:{port}/metrics" if with_worker else None
    receiver = replace(setup.receiver(), worker_metrics=told)
    for source in setup.sources.values():
        for warning in source.warnings:
            log.warning(warning)
    beside: dict[str, Mapping[str, str]] = {}
    if with_sandbox:
        beside[f"sandbox --port {sandbox_port}"] = {}
    if with_worker:
        own = {"DESTINATION_HOST": "127.0.0.1", "DESTINATION_METRICS_PORT": str(port)}
        beside["worker"] = own | (sandbox_environment(sandbox_port) if with_sandbox else {})
    receiver.routes.watch()
    receiver.roster.watch()
    with _Beside(beside):
        _receive(receiver, setup.settings)


@click.command()
def worker() -> None:
    """Deliver what was received.

    Any number of workers may run: each customer's deliveries still leave one at a time.
    """
    setup = Setup.read()
    logs.configure(setup.settings.log_format)
    for destination in setup.destinations.values():
        for name in setup.missing(destination):
            log.warning("not set", setting=name, destination=destination.name)
    _offer_metrics(setup.settings)
    database = setup.database()
    roster = Roster(database, setup.destinations)
    running = Worker(database, roster, setup.settings)
    roster.watch(running.wake)
    _on_stop(running.stop)
    log.info("delivering", to={name: d.url for name, d in roster.items()})
    running.run()
    log.info("stopped")


@click.command()
@click.argument("name")
def hold(name: str) -> None:
    """Pause a destination: what is for it waits, in order, and loses nothing.

    \b
    Example:
      destination hold rehook
    """
    database = _known(name)
    holds.hold(database, name)
    click.echo(f"{name} is on hold. `destination resume {name}` ends it.")


@click.command()
@click.argument("name")
def resume(name: str) -> None:
    """End a destination's hold: one made by hand, by its breaker, or by refused credentials.

    \b
    Example:
      destination resume rehook
    """
    held = holds.resume(_known(name), name)
    click.echo(f"{name} goes on." if held else f"{name} was not on hold.")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=SANDBOX_PORT, show_default=True, help="The port; 0 takes any.")
@click.option("--key", default=SANDBOX_KEY, show_default=True, help="The API key it accepts.")
@click.option("--secret", default=SANDBOX_KEY, show_default=True, help="The secret key it accepts.")
def sandbox(host: str, port: int, key: str, secret: str) -> None:
    """A loyalty engine to practise on: plays Rehook, and forgets all when it stops.

    \b
    What arrived, and what became of it:
      curl http://127.0.0.1:8090/_sandbox/requests
      curl http://127.0.0.1:8090/_sandbox/customers
    """
    serve_sandbox(
        host=host,
        port=port,
        api_key=key,
        api_secret=secret,
        ready=lambda real: click.echo(f"The sandbox engine is at http://{host}:{real}", err=True),
    )


@click.command()
def migrate() -> None:
    """Bring the database's tables to the version that this program needs."""
    settings = Environment.load().read(Settings)
    connect(settings.database_url).migrate()
    click.echo("The tables are of the newest version.")


def sandbox_environment(port: int) -> dict[str, str]:
    """The settings with which a worker delivers to the sandbox."""
    return {
        "DESTINATION_REHOOK_URL": f"http://127.0.0.1:{port}",
        "DESTINATION_REHOOK_API_KEY": SANDBOX_KEY,
        "DESTINATION_REHOOK_API_SECRET": SANDBOX_KEY,
    }


def _known(name: str) -> Database:
    """The database, in which there may be something for a destination. Raises Problem."""
    setup = Setup.read()
    database = setup.kept()
    if name not in (roster := Roster(database, setup.destinations)):
        raise Problem(f"There is no destination {name}. There is {listed(roster)}.")
    return database


def _offer_metrics(settings: Settings) -> None:
    """A worker's metrics are worth a warning, and not the deliveries."""
    if not settings.metrics_port:
        return
    try:
        metrics.offer(metrics.WORKER, host=settings.host, port=settings.metrics_port)
    except OSError as error:
        log.warning("metrics cannot be offered", port=settings.metrics_port, cause=str(error))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_strangers(setup: Setup) -> None:
    """Without a credential, only this machine may send us anything."""
    open_sources = [name for name, source in setup.sources.items() if not source.protected]
    if open_sources and not _is_loopback(setup.settings.host):
        raise BadSetting(
            f"DESTINATION_HOST is {setup.settings.host}, but nothing keeps strangers from sending "
            f"as {', '.join(open_sources)}. Set DESTINATION_SEGMENT_SHARED_SECRET (webhooks), "
            "DESTINATION_SEGMENT_WRITE_KEYS (Tracking API), DESTINATION_CAPILLARY_WEBHOOK_PASSWORD "
            "or _HEADERS, or DESTINATION_HOST=127.0.0.1."
        )
    if not setup.notifications.closed and not _is_loopback(setup.settings.host):
        raise BadSetting(
            f"DESTINATION_HOST is {setup.settings.host}, but nothing keeps strangers from making "
            "themselves subscribers. Set DESTINATION_NOTIFICATIONS_USER and _PASSWORD, or "
            "DESTINATION_HOST=127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _receive(receiver: Receiver, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered."""
    # A connection is an open file, of which a process may have few unless it asks for more.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MAX_CONNECTIONS + 200)), hard))
    try:
        server = create_server(
            create_app(receiver),
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            # The app refuses a large body with a message; this is only the bound of memory.
            max_request_body_size=settings.max_body_bytes * 2,
            ident="destination",
            connection_limit=MAX_CONNECTIONS,
            channel_timeout=IDLE_CONNECTION,
            cleanup_interval=5,
            asyncore_use_poll=True,  # select() knows a thousand of them at most
        )
    except OSError as error:
        raise BadSetting(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}. Another "
            "program may use it; DESTINATION_PORT chooses another."
        ) from error
    _on_stop(lambda: sys.exit(0))
    log.info("receiving", at=f"http://{settings.host}:{settings.port}/webhooks/segment")
    server.run()
    log.info("stopped")


def _on_stop(stop: Callable[[], Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


class _Beside:
    """Processes beside the receiver: started with it, started again when they end, stopped
    with it. Each is a command of ours with settings of its own.
    """

    def __init__(self, commands: Mapping[str, Mapping[str, str]]) -> None:
        self._commands = commands
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()

    def __enter__(self) -> None:
        for command in self._commands:
            self._start(command)
        threading.Thread(target=self._watch, name="beside", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, command: str) -> None:
        self._running[command] = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "destination", *command.split()],
            env={**os.environ, **self._commands[command]},
        )

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            for command, process in list(self._running.items()):
                if process.poll() is not None and not self._stopping.is_set():
                    log.error("ended, and is started again", command=command.split()[0])
                    self._start(command)
