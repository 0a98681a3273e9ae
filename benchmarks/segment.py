"""What the whole way costs beside Segment's own destination for Rehook, which runs in Node.

    python benchmarks/segment.py [--events 3000] [--runs 3]

Needs Node.js and npm, which brings Segment's packages into a temporary folder. All get the same
calls, one at a time from 16 senders, and send to the same engine, which answers after 20 ms.
Segment's answers a call after the engine has: nothing is kept, in order, or tried again. Nor does
the least that can be made of Flask and requests (benchmarks/least.py). Both are measured when they
have warmed up. Runs alternate, since a machine's speed changes; of each, the middle one counts.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import databases
import load
import service
from rich.console import Console

#: The destination; it is unpacked without what it needs for other partners.
DESTINATION = "@segment/action-destinations@3.497.0"

#: What it needs for this one.
PACKAGES = ("@segment/actions-core@3.170.0", "liquidjs@10", "dayjs@1", "lodash@4")

#: Calls that a process gets before it is measured.
WARM = 1000

HERE = Path(__file__).parent

#: Events a second, and seconds of processor time for each, of all processes.
Figures = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    events, runs = arguments.events, defaultdict[str, list[Figures]](list)
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        folder = Path(name)
        node = _install(folder)
        kinds = [started.enter_context(start(folder)) for start in databases.chosen(None)]
        for _ in range(arguments.runs):
            runs["Segment's, in Node"].append(_forward(node, folder / "segment.js", events, folder))
            runs["Flask and requests"].append(
                _forward(sys.executable, HERE / "least.py", events, folder)
            )
            for kind in kinds:
                runs[f"ours, {kind.name}"].append(_ours(kind, events, folder))
        _print(runs)
        print(load.conditions(folder))


def _install(folder: Path) -> str:
    """Bring Segment's destination, and a server for it; what runs them. Raises SystemExit."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise SystemExit("Node.js and npm are needed: apt-get install npm")
    install = [npm, "--silent", "install", "--ignore-scripts", "--prefix", ".", *PACKAGES]
    for command in (install, [npm, "--silent", "pack", DESTINATION]):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [packed] = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    (folder / "package").rename(folder / "node_modules/@segment/action-destinations")
    shutil.copy(HERE / "segment.js", folder)  # beside its modules
    return node


def _forward(program: str, script: Path, events: int, folder: Path) -> Figures:
    """Of a script of ours that sends each call on before it answers."""
    port = load.free_port()
    with load.engine(load.ENGINE_TAKES) as engine:
        command = [str(script), str(port), str(engine.port)]
        with load.process(command, {}, folder, "receiving", program) as running:
            load.send(port, load.requests(WARM, 1), service.SENDERS)
            bodies = load.requests(events, 1)
            spent, began = load.cpu(running.pid), time.perf_counter()
            load.send(port, bodies, service.SENDERS)
            seconds = time.perf_counter() - began
            engine.wait(WARM + events, running)
            return events / seconds, (load.cpu(running.pid) - spent) / events


def _ours(kind: databases.Kind, events: int, folder: Path) -> Figures:
    measured = service.measure(service.Case(name="", events=events, batch=1), kind, folder)
    return measured.rate, sum(measured.cpu.values())


def _print(runs: dict[str, list[Figures]]) -> None:
    table = load.table(("", "a second", "CPU\nms each", "to\nSegment's"))
    middle = {
        title: [statistics.median(each) for each in zip(*figures, strict=True)]
        for title, figures in runs.items()
    }
    _, segments = next(iter(middle.values()))
    for title, (rate, cpu) in middle.items():
        table.add_row(title, f"{rate:,.0f}", f"{cpu * 1000:.2f}", f"{cpu / segments:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
