"""
Faults in real minutes: when each is told, of whom, and when it is over.

    python -m tests.lab.live_faults [FAULT...]

Brings up the lab and `crosspane up`, puts each fault on for two and a half minutes and
leaves it off for over four, under calls all the time, and prints a table. Times are
minutes since the fault was put on, or mended, to the end of the minute of the records
that tells it; it is written `window_grace_s` later. Takes seven minutes a fault.

Before: incidents.py (the same faults, in seconds). After: nothing.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import agents, faults, mesh, traffic
from .expected import ALWAYS, EXPECTED
from .incidents import CALLS
from .observing import ask, crosspane_up, is_made, wait_until
from .places import LAB
from .telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUIET_S = _ON_S = 150.0
_OFF_S = 255.0
"""The minute it is mended in, two in which nothing is found, and until that is written for sure."""
_ROUND_S = 3.0
_HEALTH = """SELECT min(minute) + INTERVAL 1 MINUTE, max(minute) + INTERVAL 1 MINUTE FROM health_1m
    WHERE state IN ('degraded', 'failing') AND minute >= date_trunc('minute', ?::TIMESTAMPTZ)
    AND minute < ?::TIMESTAMPTZ AND coalesce(caused_by, entity_kind || ' ' || entity) = ?"""
_FINDING = """SELECT severity, opened_time, closed_time, summary FROM findings
    WHERE kind = ? AND starts_with(entity, ?) AND last_seen > ?::TIMESTAMPTZ"""
_OTHERS = """SELECT DISTINCT kind || ' ' || entity FROM findings
    WHERE last_seen > ?::TIMESTAMPTZ AND last_seen <= ?::TIMESTAMPTZ ORDER BY ALL"""


@contextmanager
def _calls() -> Iterator[None]:
    """Make calls meanwhile."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            traffic.run(LAB, CALLS, _ROUND_S)

    caller = threading.Thread(target=go_on)
    caller.start()
    try:
        yield
    finally:
        over.set()
        caller.join()


def _minutes(time: datetime | None, since: datetime) -> str:
    return "-" if time is None else f"{(time - since).total_seconds() / 60:.1f}"


def _row(lake: Path, name: str, on: datetime, off: datetime, end: datetime) -> list[str]:
    """Return a line of the table, as the lake tells it when the fault is over."""
    one = EXPECTED[name]
    health: list[Any] = [None, None]
    if one.root is not None:
        health = list(ask(lake, _HEALTH, on, end, one.root)[0])
    found = ask(lake, _FINDING, *one.finding, on)
    severity, opened, closed, summary = found[0] if found else ("not found", None, None, "")
    also = [text for (text,) in ask(lake, _OTHERS, on, end)]
    others = [
        text
        for text in also
        if text != " ".join(ALWAYS) and not text.startswith(" ".join(one.finding))
    ]
    return [
        *(name, one.root or "-", _minutes(health[0], on), _minutes(health[1], off)),
        *(" ".join(one.finding), severity, _minutes(opened, on), _minutes(closed, off)),
        *("; ".join(others) or "-", summary),
    ]


_HEAD = (
    *("fault", "to blame", "unwell after", "unwell until, after mending"),
    *("finding", "severity", "opened after", "closed after mending", "other findings", "summary"),
)


def main(names: list[str]) -> None:
    """Run the faults, one after the other."""
    directory = Path(tempfile.mkdtemp(prefix="live"))
    telemetry = Telemetry(als=agents.sockets(LAB, directory))
    pause = threading.Event()
    click.echo(f"in {directory}")
    with (
        # The lab first: agents tell of targets that do not answer.
        mesh.up(directory, LAB, telemetry) as lab,
        crosspane_up(LAB, directory, "als") as lake,
        _calls(),
    ):
        wait_until(lambda: is_made(lake))
        began = datetime.now(UTC)
        pause.wait(_QUIET_S)
        quiet = [text for (text,) in ask(lake, _OTHERS, began, datetime.now(UTC))]
        click.echo(f"quiet | {'; '.join(quiet) or '-'}\n" + " | ".join(_HEAD))
        for name in names:
            on = datetime.now(UTC)
            faults.apply(lab, name)
            pause.wait(_ON_S)
            off = datetime.now(UTC)
            faults.undo(lab, name)
            pause.wait(_OFF_S)
            click.echo(" | ".join(_row(lake, name, on, off, datetime.now(UTC))))
        left = ask(lake, "SELECT kind || ' ' || entity FROM v_findings WHERE state = 'open'")
        click.echo(f"open at the end | {'; '.join(text for (text,) in left) or '-'}")


if __name__ == "__main__":
    main(sys.argv[1:] or list(EXPECTED))
