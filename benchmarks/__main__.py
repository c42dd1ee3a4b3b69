"""``python -m benchmarks [NAME ...] [--quick]``: measure, and print what was found."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import (
    backlog,
    cancel,
    cycle,
    forks,
    hosts,
    idle,
    large_results,
    listing,
    logins,
    maps,
    parts,
    peer,
    read,
    slots,
    start,
    tables,
)
from benchmarks.figures import Figure

BENCHMARKS: dict[str, Callable[[bool], list[Figure]]] = {
    "start": start.measure,
    "read": read.measure,
    "parts": parts.measure,
    "cycle": cycle.measure,
    "slots": slots.measure,
    "maps": maps.measure,
    "forks": forks.measure,
    "drain": backlog.drain,
    "hosts": hosts.measure,
    "peer": peer.measure,
    "cancel": cancel.measure,
    "memory": backlog.memory,
    "results": large_results.measure,
    "listing": listing.measure,
    "logins": logins.measure,
    "idle": idle.measure,
    "tables": tables.measure,
}
#: Benchmarks that need more than the project brings, and what reports the lack of it.
MISSING: dict[str, Callable[[], str]] = {"peer": peer.missing}


def main() -> None:
    """Run the benchmarks that are named, or all."""
    options = _options()
    benchmarks = dict(BENCHMARKS)
    if options.against:
        benchmarks["cycle"] = partial(cycle.compare, against=options.against)
    console = Console(highlight=False)
    python = platform.python_version()
    console.print(f"{platform.system()}, {os.cpu_count()} cores, Python {python}")
    for name in options.names or benchmarks:
        if missing := _missing(name):
            console.print(f"{name} is left out: {missing}")
        else:
            _show(console, name, partial(benchmarks[name], options.quick))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument(
        "--against", type=_absolute, metavar="CHECKOUT", help="compare cycle with another checkout"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark: {', '.join(sorted(unknown))}; there are {list(BENCHMARKS)}")
    if options.against and options.names != ["cycle"]:
        parser.error("--against is for the benchmark cycle alone")
    if options.against and not (options.against / "jobserver").is_dir():
        parser.error(f"{options.against} is not a checkout of Jobserver")
    for name in options.names:
        if missing := _missing(name):
            parser.error(f"{name}: {missing}")
    return options


def _absolute(path: str) -> Path:
    return Path(path).resolve()


def _missing(name: str) -> str:
    return MISSING[name]() if name in MISSING else ""


def _show(console: Console, name: str, measure: Callable[[], list[Figure]]) -> None:
    """Run one benchmark and print its table, with what else the machine did meanwhile."""
    began, used = time.monotonic(), _used_by_others()
    with console.status(f"{name} ..."):
        figures = measure()
    there_was = (time.monotonic() - began) * (os.cpu_count() or 1)
    others = (_used_by_others() - used) / there_was
    table = Table("figure", "value", "aim", title=f"{name} (others used {others:.0%} of the cores)")
    for figure in figures:
        table.add_row(*figure.row())
    console.print(table)


def _used_by_others() -> float:
    """Seconds of all cores since the start of the machine that were not ours or idle."""
    cores = psutil.cpu_times()
    idle = cores.idle + getattr(cores, "iowait", 0.0)
    ours = sum(os.times()[:4])  # with all processes that we started and that have ended
    return float(sum(cores) - idle - ours)


if __name__ == "__main__":
    main()
