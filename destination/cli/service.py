"""The commands that run and steer: serve, worker, sandbox, migrate, hold, resume."""

import errno
import gc
import os
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click
import structlog

from destination.app import Setup
from destination.cli import doors
from destination.cli.kept import kept_database
from destination.cli.ports import free_port
from destination.errors import BadSetting, Problem, StoreUnavailable
from destination.partners.base.destination import Destination
from destination.registry import Registry
from destination.sandbox import serve as serve_sandbox
from destination.settings.tables import Environment, Settings
from destination.store.database import Database, connect
from destination.store.queue import circuit_breaker
from destination.support import logs, metrics
from destination.support.supervisor import Supervisor
from destination.support.text import listed
from destination.web import server
from destination.web.app import create_app
from destination.web.health import WORKERS
from destination.web.receive import Receiver
from destination.worker.loop import Worker

log = structlog.get_logger()

T = TypeVar("T")

#: Where the sandbox listens, and the key and secret that it accepts.
SANDBOX_PORT = 8090
SANDBOX_KEY = "sandbox"

#: Who practises, for the subscribers' API.
PRACTICE_USER = "practice"

#: Seconds between two looks for a database that is away at the start.
LOOK_AGAIN = 2.0


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
@click.option("--sandbox-key", default=lambda: secrets.token_hex(8), hidden=True)
def serve(with_worker: bool, with_sandbox: bool, sandbox_port: int, sandbox_key: str) -> None:
    """Receive Segment's calls.

    \b
    Examples:
      destination serve                      the receiver alone
      destination serve --worker             one machine: receiver and worker
      destination serve --worker --sandbox   practise without a real engine
    """
    environ = dict(os.environ)
    if with_sandbox:
        environ |= sandbox_environment(sandbox_port, sandbox_key) | _practice_keys(sandbox_key)
    setup = Setup.read(environ)
    logs.configure(setup.settings.log_format)
    receiver = _as_soon_as_stored(setup.receiver)
    _as_soon_as_stored(lambda: doors.tell_closed(setup, receiver.database))
    for source in setup.sources.values():
        for warning in source.warnings:
            log.warning(warning)
    others: dict[str, Mapping[str, str]] = {}
    if with_sandbox:
        here = f"127.0.0.1:{setup.settings.port}/webhooks"
        command = (
            f"sandbox --port {sandbox_port} --key {sandbox_key} --secret {sandbox_key}"
            f" --rehook-webhook http://{sandbox_key}:{sandbox_key}@{here}/rehook"
            f" --reward-webhook http://{here}/reward?token={sandbox_key}"
        )
        others[command] = environ
    if with_worker:
        port = free_port()
        others["worker"] = {
            **environ,
            "DESTINATION_HOST": "127.0.0.1",
            "DESTINATION_METRICS_PORT": str(port),
        }
        receiver = replace(receiver, worker_metrics=f"http://127.0.0.1:{port}/metrics")
    receiver.routes.watch()
    receiver.registry.watch()
    with Supervisor(others):
        _receive(receiver, setup.settings)
    os._exit(0)  # a view that hangs, for the database does, keeps no process that was stopped


@click.command()
def worker() -> None:
    """Deliver what was received.

    Any number of workers may run: each customer's deliveries still leave one at a time.
    """
    setup = Setup.read()
    logs.configure(setup.settings.log_format)
    used = {name: each for name, each in setup.destinations.items() if each.in_use}
    for destination in used.values():
        for name in setup.missing(destination):
            log.warning("not set", setting=name, destination=destination.name)
    _offer_metrics(setup.settings)
    database, registry = _as_soon_as_stored(lambda: _registry(setup, used))
    running = Worker(database, registry, setup.settings)
    registry.watch(running.wake)
    _on_stop(running.stop)
    _be_swift()
    log.info("delivering", to={name: each.url for name, each in registry.items()})
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
    circuit_breaker.hold(database, name)
    click.echo(f"{name} is on hold. `destination resume {name}` ends it.")


@click.command()
@click.argument("name")
def resume(name: str) -> None:
    """End a destination's hold: one made by hand, by its breaker, or by refused credentials.

    \b
    Example:
      destination resume rehook
    """
    held = circuit_breaker.resume(_known(name), name)
    click.echo(f"{name} goes on." if held else f"{name} was not on hold.")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=SANDBOX_PORT, show_default=True, help="The port; 0 takes any.")
@click.option("--key", default=SANDBOX_KEY, show_default=True, help="The API key it accepts.")
@click.option("--secret", default=SANDBOX_KEY, show_default=True, help="The secret key it accepts.")
@click.option("--rehook-webhook", metavar="URL", help="Where it tells what Rehook would tell.")
@click.option("--reward-webhook", metavar="URL", help="Where it tells what Reward would tell.")
def sandbox(
    host: str,
    port: int,
    key: str,
    secret: str,
    rehook_webhook: str | None,
    reward_webhook: str | None,
) -> None:
    """A loyalty engine to practise on: plays Rehook, and forgets all when it stops.

    It plays Reward too, Segment's Tracking API, and a subscriber. A webhook's URL may have a
    user and a password in it: http://user:password@127.0.0.1:8080/webhooks/rehook

    \b
    What arrived, and what became of it:
      curl http://127.0.0.1:8090/_sandbox/requests
      curl http://127.0.0.1:8090/_sandbox/customers
      curl http://127.0.0.1:8090/_sandbox/webhooks
      curl http://127.0.0.1:8090/_sandbox/tracked
      curl http://127.0.0.1:8090/_sandbox/notified
    """
    webhooks = {"rehook": rehook_webhook, "reward": reward_webhook}
    serve_sandbox(
        host=host,
        port=port,
        api_key=key,
        api_secret=secret,
        webhooks={sender: url for sender, url in webhooks.items() if url},
        ready=lambda real: click.echo(f"The sandbox engine is at http://{host}:{real}", err=True),
    )


@click.command()
def migrate() -> None:
    """Bring the database's tables to the version that this program needs."""
    settings = Environment.load().read(Settings)
    left = connect(settings.database_url).migrate()
    click.echo(left or "The tables are of the newest version.")


def sandbox_environment(port: int, key: str) -> dict[str, str]:
    """The settings with which the sandbox is every system on the other side; `key` is its key, its
    secret, and that of its webhooks.
    """
    url = f"http://127.0.0.1:{port}"
    return {
        "DESTINATION_REHOOK_URL": url,
        "DESTINATION_REHOOK_API_KEY": key,
        "DESTINATION_REHOOK_API_SECRET": key,
        "DESTINATION_REHOOK_WEBHOOK_USER": key,
        "DESTINATION_REHOOK_WEBHOOK_PASSWORD": key,
        "DESTINATION_REHOOK_WEBHOOK_HEADERS": "",
        "DESTINATION_REWARD_URL": url,
        "DESTINATION_REWARD_API_KEY": key,
        "DESTINATION_REWARD_WEBHOOK_TOKEN": key,
        "DESTINATION_SEGMENT_TRACKING_URL": url,
        "DESTINATION_SEGMENT_TRACKING_KEY": key,
        "DESTINATION_WEBHOOK_ALLOW_PRIVATE": "yes",  # the subscriber is on this machine
        "DESTINATION_WEBHOOK_ALLOW_HTTP": "yes",
    }


def practice_doors(key: str) -> dict[str, str]:
    """The settings with which `key` opens what takes calls in, and the subscribers' API."""
    return {
        "DESTINATION_SEGMENT_WRITE_KEYS": key,
        "DESTINATION_NOTIFICATIONS_USER": PRACTICE_USER,
        "DESTINATION_NOTIFICATIONS_PASSWORD": key,
    }


def _practice_keys(key: str) -> dict[str, str]:
    """Credentials for the doors that the settings leave closed, told to whoever practises."""
    given = Environment.load().values.keys()
    doors = practice_doors(key)
    if given & {"DESTINATION_SEGMENT_SHARED_SECRET", "DESTINATION_SEGMENT_WRITE_KEYS"}:
        del doors["DESTINATION_SEGMENT_WRITE_KEYS"]
    else:
        click.echo(f"Practice: the write key is {key}: curl -u {key}: …/v1/track", err=True)
    if given & {"DESTINATION_NOTIFICATIONS_USER", "DESTINATION_NOTIFICATIONS_PASSWORD"}:
        doors = {name: value for name, value in doors.items() if "NOTIFICATIONS" not in name}
    else:
        click.echo(
            f"Practice: subscribers' API: curl -u {PRACTICE_USER}:{key} …/v3/webHooks", err=True
        )
    return doors


def _as_soon_as_stored(make: Callable[[], T]) -> T:
    """What `make` makes, as soon as the database can be used: it may come up after us, and
    systemd gives a program up that ends five times.
    """
    while True:
        try:
            return make()
        except StoreUnavailable as error:
            log.error("store unavailable, and waited for", cause=str(error))
            time.sleep(LOOK_AGAIN)


def _registry(setup: Setup, used: Mapping[str, Destination]) -> tuple[Database, Registry]:
    """Where to deliver from, and to. Raises as `Setup.database` does."""
    database = setup.database()
    return database, Registry(database, used)


def _known(name: str) -> Database:
    """The database, in which there may be something for a destination. Raises Problem."""
    setup = Setup.read()
    database = kept_database(setup)
    if name not in (registry := Registry(database, setup.destinations)):
        raise Problem(f"There is no destination {name}. There is {listed(registry)}.")
    return database


def _offer_metrics(settings: Settings) -> None:
    """A worker's metrics are worth a warning, and not the deliveries."""
    if not settings.metrics_port:
        return
    try:
        metrics.offer(metrics.WORKER, host=settings.host, port=settings.metrics_port)
    except OSError as error:
        log.warning("metrics cannot be offered", port=settings.metrics_port, cause=str(error))


def _receive(receiver: Receiver, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered."""
    # A connection is an open file, of which a process may have few unless it asks for more.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(soft, min(hard, server.MAX_CONNECTIONS + 200)), hard)
    )
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        remedy = "DESTINATION_HOST must be an address of this machine."
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            remedy = "DESTINATION_PORT chooses another."
        raise BadSetting(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}. {remedy}"
        ) from error
    # The server stops by itself on these signals, and raises them again at its end: what
    # was there before must not act on them then.
    _on_stop(lambda: None)
    app = create_app(receiver)
    end_watch = app.extensions[WORKERS].keep_looking()
    _be_swift()
    log.info("receiving", at=f"http://{settings.host}:{settings.port}/webhooks/segment")
    whole = server.Gateway(
        app,
        # The app refuses a large body with a message; this is only the bound of memory.
        max_body_bytes=settings.max_body_bytes + server.MAX_UNKNOWN,
        is_behind=receiver.group_commit.is_behind,
        is_known=receiver.is_known,
    )
    server.serve(whole, listener)
    end_watch()
    log.info("stopped")


def _be_swift() -> None:
    """Let nobody wait for what Python does by the way."""
    # What is loaded by now is there to the end: looking for garbage in all of it, every few
    # thousand calls, would stop everybody for some 50 ms.
    gc.collect()
    gc.freeze()
    # A thread that has its answer from the database goes on soon, though another one computes.
    sys.setswitchinterval(0.0005)


def _on_stop(stop: Callable[[], Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
