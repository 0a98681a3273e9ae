"""The demonstration: the whole service with the sandbox engine, and what it makes of the fixtures.

`make run` is this command. It has a database of its own and never calls a real engine, whatever
the environment and `.env` say.
"""

import itertools
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from destination import partners
from destination.cli import call_files, returns, shipped, tables
from destination.cli.call_files import FileCall
from destination.cli.ports import free_port
from destination.cli.request_body import body_of
from destination.cli.sender import Answer, Sender
from destination.cli.service import (
    PRACTICE_USER,
    SANDBOX_PORT,
    practice_doors,
    sandbox_environment,
)
from destination.errors import Problem
from destination.partners.base.destination import Destination
from destination.partners.segment import Segment, SegmentSettings
from destination.settings.tables import Environment, Settings, Table, rows
from destination.store import database
from destination.store.database import Database
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.support import json_codec, supervisor

#: Seconds to wait for the service to be up, and for the fixtures to be delivered.
READY_WITHIN = 30.0

#: From how many columns on each exchange is shown in full, and how wide an outcome is then.
WIDE, OUTCOME = 140, 42

#: A call to paste: an order of a customer who is made on the fly.
EXAMPLE = {
    "type": "track",
    "messageId": "hello-1",
    "userId": "ada",
    "event": "Order Completed",
    "properties": {"order_id": "o-1", "total": 49.5, "currency": "EUR"},
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a call and what became of it."""

    file_call: FileCall
    result: Answer
    #: Each request, with the status and the body of its answer.
    exchanges: list[tuple[str, int | None, str]]

    @property
    def as_expected(self) -> bool:
        expected = self.file_call.expect
        found = {"outcome": self.result.outcome, "reason": self.result.reason}
        return expected is None or all(found[key] == value for key, value in expected.items())


@click.command("demo")
@click.option("--once", is_flag=True, help="Stop after the table; exit 1 if it is not as expected.")
@click.option(
    "--fixtures",
    type=click.Path(exists=True, path_type=Path),
    help="The payloads to send. [default: those that ship with the program]",
)
def run_demo(once: bool, fixtures: Path | None) -> None:
    """Run everything with the sandbox engine, send the fixtures, and show what became of them.

    Then it serves until Ctrl-C. What is accepted is kept in var/practice.db, and goes on at the
    next start.
    """
    file_calls = list(call_files.read_all([str(fixtures or shipped.practice() / "segment")]))
    port, sandbox_port = free_port(Settings().port), free_port(SANDBOX_PORT)
    key = secrets.token_hex(8)
    environment = _environment(port, sandbox_port, key)
    with _service(environment, sandbox_port, key) as process:
        service_url = f"http://127.0.0.1:{port}"
        sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        url = f"{service_url}/webhooks/segment"
        _wait_until_up(process, f"{service_url}/readyz")
        _wait_until_up(process, f"{sandbox_url}/_sandbox/requests")
        returns.subscribe(service_url, sandbox_url, (PRACTICE_USER, key))
        kept = database.connect(environment["DESTINATION_DATABASE_URL"])
        sender = Sender(url, Segment(SegmentSettings(write_keys=(key,))))
        before = returns.newest_event(kept)
        destinations = partners.destinations(Environment.load(environment))
        shown = [
            _row(file_call, result, kept, destinations)
            for file_call, result in _send(file_calls, sender, kept)
        ]
        _print(shown)
        until = time.monotonic() + READY_WITHIN
        came = returns.wait_for_webhooks(sandbox_url, kept, after=before, until=until)
        click.echo("What the engines told by webhook, and what of it went on:\n")
        returns.print_returns(kept, after=before)
        wrong = [row for row in shown if not row.as_expected]
        if once:
            click.echo(f"{len(shown)} payloads, {len(wrong)} not as expected.")
            if not came:
                click.echo("Not everything that the engines told has reached whom it concerns.")
            sys.exit(0 if came and not wrong else 1)
        _print_next(url, sandbox_port, key, environment["DESTINATION_DATABASE_URL"])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        process.wait()


def _environment(port: int, sandbox_port: int, key: str) -> dict[str, str]:
    """An environment in which nothing of the user's own settings is left but the mappings."""
    practice = Path("var").resolve()
    practice.mkdir(exist_ok=True)
    # Somebody practised with an older program, perhaps: nobody else uses this database.
    database.connect(f"sqlite:///{practice / 'practice.db'}").migrate()
    every: list[type[Table]] = [Settings, *partners.tables()]
    names = [name for table in every for name, _ in rows(table)]
    emptied = dict.fromkeys(names, "")  # an empty value hides what .env says
    return {
        **os.environ,
        **emptied,
        "DESTINATION_MAPPINGS": str(_mappings()),
        "DESTINATION_DATABASE_URL": f"sqlite:///{practice / 'practice.db'}",
        "DESTINATION_PORT": str(port),
        "DESTINATION_REHOOK_CONVERSION_EVENTS": "signup",
        **sandbox_environment(sandbox_port, key),
        **practice_doors(key),
    }


def _mappings() -> Path:
    """The folder that the settings name; the presets where none is named and none is here."""
    named = Environment.load().values.get("DESTINATION_MAPPINGS")
    folder = Path(named) if named else Settings().mappings
    if named or folder.exists():
        return folder
    click.echo(
        f"No folder {folder} is here: the presets are used. `destination init` writes them here.",
        err=True,
    )
    return shipped.presets()


@contextmanager
def _service(
    environment: dict[str, str], sandbox_port: int, key: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Receiver, worker and sandbox, stopped at the end."""
    command = f"serve --worker --sandbox --sandbox-port {sandbox_port} --sandbox-key {key}"
    process = supervisor.start(command, environment)
    try:
        yield process
    except KeyboardInterrupt:
        click.echo()
    finally:
        process.terminate()
        process.wait(supervisor.STOP_WITHIN * 2)


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Problem("The service has stopped; what it said stands above.")
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise Problem(f"{url} does not answer.")


def _send(found: list[FileCall], sender: Sender, kept: Database) -> list[tuple[FileCall, Answer]]:
    """Send the calls of the files as new ones, one by one. Wait until all are delivered."""
    suffix = f"-{time.time_ns():x}"
    results: list[tuple[FileCall, Answer]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for file_call in progress.track(found, description="Sending the fixtures"):
            new = call_files.renewed(file_call, suffix)
            for text in new.before:
                _wait_until_settled(kept, sender.send([text]))
            results += [(file_call, result) for result in sender.send([new.text])]
    _wait_until_settled(kept, [result for _, result in results])
    return results


def _wait_until_settled(kept: Database, results: Sequence[Answer]) -> None:
    ids = [result.message_id for result in results if result.message_id]
    until = time.monotonic() + READY_WITHIN
    while lists.unsettled(kept, ids) and time.monotonic() < until:
        time.sleep(0.05)


def _row(
    file_call: FileCall, result: Answer, kept: Database, destinations: Mapping[str, Destination]
) -> Row:
    exchanges = []
    if result.outcome == "accepted" and result.message_id:
        made = list(lists.deliveries(kept, Filter(message_id=result.message_id)))
        for delivery in reversed(made):  # they are listed newest first
            full = lists.delivery(kept, delivery["id"]) or {}
            for attempt in full["attempt_list"]:
                path = "/" + (attempt["url"] or "").partition("://")[2].partition("/")[2]
                body = body_of(full, destinations, attempt["method"]) or ""
                answer = (attempt["answer"] or "").strip()
                exchanges.append((f"{attempt['method']} {path} {body}", attempt["status"], answer))
    return Row(file_call=file_call, result=result, exchanges=exchanges)


def _print(shown: list[Row]) -> None:
    console = tables.console()
    wide = console.width >= WIDE
    table = tables.new_table(
        ("payload", "outcome", "reached an engine", "the engine answered")
        if wide
        else ("payload", "what became of it")
    )
    payload, outcome, *exchange = table.columns
    payload.width = 1 + max(len(_name(row)) for row in shown)
    left = console.width - payload.width - tables.between(table.columns)
    outcome.width = OUTCOME if wide else left
    for column in exchange:
        column.width = (left - OUTCOME) // len(exchange)
        column.overflow, column.no_wrap = "ellipsis", True
    for folder, found in itertools.groupby(shown, key=_folder):
        table.add_section()
        table.add_row(Text(folder, style="bold"))
        for row in found:
            cells = (_outcome(row), *_exchanged(row)) if wide else (_in_short(row, left),)
            table.add_row(f" {_name(row)}", *cells)
    console.print(table)


def _exchanged(row: Row) -> list[Text]:
    """What left and what was answered, a line each."""
    requests = [request for request, _, _ in row.exchanges]
    answers = [f"{status} {answer}" for _, status, answer in row.exchanges]
    return [Text("\n".join(lines) or "—") for lines in (requests, answers)]


def _in_short(row: Row, room: int) -> Text:
    """The outcome, and behind it what left: `accepted 200 POST /customers {"source_…`."""
    text = _outcome(row)
    indent = len(text)
    for number, (request, status, _) in enumerate(row.exchanges):
        line = Text(f"{status} {request}")
        line.truncate(max(8, room - indent - 1), overflow="ellipsis")
        text.append("\n" + " " * indent if number else "").append(" ").append_text(line)
    return text


def _folder(row: Row) -> str:
    return row.file_call.name.rpartition("/")[0]


def _name(row: Row) -> str:
    return row.file_call.name.rpartition("/")[2].removesuffix(".json")


def _outcome(row: Row) -> Text:
    text = tables.coloured(row.result.word)
    if row.result.reason:
        text.append(f" {row.result.reason}", style="dim")
    if not row.as_expected:
        text.append(f" expected {json_codec.dumps(row.file_call.expect)}", style="bold red")
    return text


def _print_next(url: str, sandbox_port: int, key: str, database_url: str) -> None:
    click.echo("Send a call of your own:\n")
    click.echo(f"  curl -X POST {url} \\")
    click.echo(f"    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\")
    click.echo(f"    -d {shlex.quote(json_codec.dumps(EXAMPLE))}\n")
    click.echo("and see what the engine made of it:\n")
    click.echo(f"  curl http://127.0.0.1:{sandbox_port}/_sandbox/customers\n")
    click.echo("and what Segment got of it:\n")
    click.echo(f"  curl http://127.0.0.1:{sandbox_port}/_sandbox/tracked\n")
    click.echo("and what the subscriber was told of it:\n")
    click.echo(f"  curl http://127.0.0.1:{sandbox_port}/_sandbox/notified\n")
    click.echo("and what is kept of it:\n")
    command = shlex.join([sys.argv[0], "deliveries"])
    click.echo(f"  DESTINATION_DATABASE_URL={shlex.quote(database_url)} {command}\n")
    click.echo("Ctrl-C stops.")
