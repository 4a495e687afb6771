"""
Minutes made of seconds: what a lab did, a minute for each slice of it, with all that follows.

    recorded   |slice 0|slice 1| - |slice 2|     seconds each, one after the other
    stretched  |0:20...    |1:20...    |2:20...      a minute each

A minute is what health and findings are about, and a lab shows in two seconds what it
would in one. Within a slice nothing is changed: times are moved, all by as much, so
that what lasted a millisecond still does. What no slice holds is left out.

Before: observing.py (whose lake is read). After: test_faults.py, live_faults.py.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake, connect
from pipeline.windows import LENGTH, STAGES, Windows

from . import traffic
from .expected import ALWAYS, EXPECTED
from .places import LAB
from .traffic import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .expected import Expected

_LEAD = timedelta(seconds=20)
"""Where in its minute a slice begins: so far in that its rows are of no other's reach."""
_LONGEST = timedelta(seconds=35)
"""So much of what lasted longer, its end, is a minute."""
_CALLS_SECONDS = 0.5
_SIX = [
    Call(client, service, "GET", path, 200, 2)
    for client, service, path in (
        *(("frontend", "cart", "/cart"), ("frontend", "reports", "/reports")),
        *(("billing", "cart", "/cart"), ("exports", "reviews", "/reviews/1")),
        *(("ledger", "ratings", "/ratings/1"), ("telemetry", "billing", "/invoices")),
    )
] * 3
_TWELVE = [
    Call(client, service, "GET", path, 200, 2)
    for client, service, path in (
        ("frontend", "reviews", "/reviews/1"),
        ("reviews", "ratings", "/ratings/1"),
    )
] * 6
CALLS = (*_SIX, *_TWELVE)
"""Calls that all work while no fault is on; of each edge several at once, since some hang."""
_KNOWN = (
    *("vantages", "networks", "clusters", "endpoints", "prefixes", "gateways", "peerings"),
    *("objects", "inventory_sources"),
)
"""Tables that are taken as they are."""
_TIMED = {
    "requests": ("start_time", "received_time"),
    "flows": ("start_time", "end_time", "received_time"),
    "probes": ("start_time", "received_time"),
    "proxy_samples": ("received_time",),
    "rejects": ("received_time",),
}
"""Tables to the times of a row: the first is that which says in which slice it is."""


class Slice(NamedTuple):
    """Seconds of a lab, and the faults that were on."""

    began: datetime
    ended: datetime
    faults: tuple[str, ...] = ()


class Diary:
    """What was on, and when: slices one after the other, each with calls."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []
        self._since = datetime.now(UTC)

    def begin(self) -> None:
        """Let the next slice begin now, not where the last one ended."""
        self._since = datetime.now(UTC)

    def write(self, *faults: str, settle_s: float = 1.2) -> None:
        """Make calls and end a slice; proxies are scraped once a second, so twice in it."""
        traffic.run(LAB, CALLS, _CALLS_SECONDS)
        time.sleep(settle_s)
        ended = datetime.now(UTC)
        self.slices.append(Slice(max(self._since, ended - _LONGEST), ended, faults))
        self._since = ended


def stretched(
    recorded: Path,
    slices: Sequence[Slice],
    into: Path,
    begin: datetime,
    each: Callable[[Lake, datetime], None],
) -> None:
    """
    Make a lake in which each slice is a minute, committed and worked out as the job does it.

    Parameters
    ----------
    recorded
        Lake of a `crosspane up` beside the lab.
    begin
        The first minute.
    each
        Is told of each minute when it is worked out.
    """
    known, rows = _read(recorded, slices, begin)
    with Lake(into) as lake:
        lake.commit(Commit(known))
        windows = Windows(lake, timedelta(0), timedelta(days=1), tuple(STAGES.values()))
        for number in range(len(slices)):
            minute = begin + number * LENGTH
            frames = {
                name: frame.filter(pl.col("slice") == number).drop("slice")
                for name, frame in rows.items()
            }
            frames["windows"] = windows.mark(frames, None)
            lake.commit(Commit(frames, replaced={"windows": "window_start"}))
            windows.close(minute + LENGTH)
            each(lake, minute)


def _read(
    recorded: Path, slices: Sequence[Slice], begin: datetime
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Return what holds all the time, and rows with the slice they are of, at their new times."""
    moved = pl.DataFrame(
        [
            (number, one.began, one.ended, begin + number * LENGTH + _LEAD - one.began)
            for number, one in enumerate(slices)
        ],
        {
            "slice": pl.Int64(),
            "began": schema.TIME,
            "ended": schema.TIME,
            "shift": pl.Duration("us"),
        },
        orient="row",
    )
    with connect(recorded) as reader:
        reader.register("slices", moved.to_arrow())
        known = {name: reader.execute(f"FROM {name}").pl() for name in _KNOWN}
        known["accounting"] = reader.execute(
            "SELECT * REPLACE ($1 AS minute) FROM accounting", [begin]
        ).pl()
        rows = {}
        for name, (first, *others) in _TIMED.items():
            later = ", ".join(f"{time} + shift AS {time}" for time in (first, *others))
            rows[name] = reader.execute(
                f"SELECT slice, {name}.* REPLACE ({later}) FROM {name}"
                f" JOIN slices ON {first} >= began AND {first} < ended"
            ).pl()
    return known, rows


class Minute(NamedTuple):
    """
    What was said of a minute, and what was so.

    Attributes
    ----------
    unwell
        Name and cause of what health had as failing, or as degraded for its errors: what
        is only slow may be so for this machine.
    found
        Kind and entity of each open finding, and whether it was seen in this minute.
    """

    faults: tuple[str, ...]
    unwell: dict[str, str | None]
    found: dict[tuple[str, str], bool]

    def wrong_states(self) -> list[str]:
        """Return what is unwell and should not be, has another cause, or is well and should not."""
        roots = {EXPECTED[fault].root for fault in self.faults} - {None}
        blamed = {name: cause or name for name, cause in self.unwell.items()}
        wrong = [f"{name} for {root}" for name, root in blamed.items() if root not in roots]
        return wrong + [f"nothing for {root}" for root in roots - set(blamed.values())]

    def wrong_findings(self) -> list[str]:
        """Return what is found and should not be, and what is not found."""
        expected = [EXPECTED[fault] for fault in self.faults]
        seen = [key for key, now in self.found.items() if now and key != ALWAYS]
        wrong = [
            " ".join(key)
            for key in seen
            if not any(
                _is(key, one.finding) or _is(key, one.also) or _shows(key, one) for one in expected
            )
        ]
        missing = [
            one.finding for one in expected if not any(_is(key, one.finding) for key in seen)
        ]
        return wrong + [f"no {' '.join(finding)}" for finding in missing]

    def has_open(self, finding: tuple[str, str]) -> bool:
        """Look whether a finding is open at the end of the minute."""
        return any(_is(key, finding) for key in self.found)

    def open_findings(self) -> list[tuple[str, str]]:
        """Return what is open at the end of the minute."""
        return sorted(self.found)


def _is(key: tuple[str, str], finding: tuple[str, str]) -> bool:
    """Of a certificate, the proxy is expected, and not what it calls it."""
    return key[0] == finding[0] and key[1].startswith(finding[1])


def _shows(key: tuple[str, str], expected: Expected) -> bool:
    """Whether it is of an upstream that the fault may show at."""
    kind, entity = key
    return kind.startswith("upstream_") and any(name in entity for name in expected.upstreams)


def told(recorded: Path, slices: Sequence[Slice], into: Path) -> list[Minute]:
    """Return what is said of a minute for each slice; see `stretched`."""
    begin = slices[0].began.replace(second=0, microsecond=0)
    minutes: list[Minute] = []

    def look(lake: Lake, minute: datetime) -> None:
        unwell = lake.read(
            f"""SELECT entity_kind || ' ' || entity, caused_by FROM health_1m
            WHERE minute = '{minute}' AND (state = 'failing' OR state = 'degraded' AND errors > 0)"""
        )
        found = lake.read(
            f"""SELECT kind, entity, last_seen = '{minute + LENGTH}' FROM findings
            WHERE closed_time IS NULL"""
        )
        faults = slices[len(minutes)].faults
        seen = {(kind, entity): now for kind, entity, now in found.iter_rows()}
        minutes.append(Minute(faults, dict(unwell.iter_rows()), seen))

    stretched(recorded, slices, into, begin, look)
    return minutes
