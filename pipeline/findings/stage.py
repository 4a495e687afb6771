"""
What a minute changes of the findings there are: opened, updated, closed, opened again.

A finding is open while it is seen; after `CLOSE_AFTER` looks without it, it is
closed: one that comes and goes does not flap. The same trouble has the same id,
so it is opened again and not found anew. A kind whose query fails changes
nothing of its findings, and is a finding itself.

Each kind is looked for at most once for a minute, in order of time: a minute
that is worked out again for rows that came late changes nothing here, for the
minutes after it look back on it. A job that is behind leaves minutes out, so that
it is not behind for this: what is wrong now is what a person should look at.

Before: kinds.py. After: windows.py (which commits), alertmanager.py.
"""

import logging
import time
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import duckdb
import polars as pl
import xxhash

from pipeline.findings.kind import Kind, evidence
from pipeline.findings.kinds import FINDINGS
from pipeline.findings.moment import SCRAPES_LOOKBACK, Moment, moment
from pipeline.lake import Commit, Lake
from pipeline.memory import memory, sources
from pipeline.schema.findings import FINDING_RUNS
from pipeline.schema.findings import FINDINGS as TABLE
from pipeline.schema.job import ACCOUNTING, WINDOWS
from pipeline.schema.literals import literal

if TYPE_CHECKING:
    from pipeline.windows import Window

log = logging.getLogger("crosspane.findings")

CLOSE_AFTER: Final = 2
MOST: Final = 500
"""Findings of one kind that are kept, the worst first; that there are more is one, too."""
BEHIND: Final = timedelta(minutes=3)
"""With minutes waiting that are so much later, and were received, a minute is left out."""
FAILED: Final = "finding_failed"
_FAILED_ACTION: Final = "Findings of this kind are neither opened nor closed meanwhile: run the query, see the job's log."

Row = dict[str, Any]


def findings(lake: Lake, window: "Window") -> Commit | None:
    """Look for all that is due at the end of a minute; None if nothing is."""
    until = window.end
    runs = dict(lake.read(f"SELECT kind, evaluated_time FROM {FINDING_RUNS.name}").rows())
    due = [
        kind for kind in FINDINGS if kind.name not in runs or until - runs[kind.name] >= kind.every
    ]
    if not due or _is_behind(lake, window.start):
        return None
    known = _known(lake, "closed_time IS NULL")
    is_open = {row["entity"] if row["kind"] == FAILED else row["kind"] for row in known.values()}
    due = _changed(
        lake, window, due, {kind.name for kind in due if kind.name not in runs} | is_open
    )
    if not due:
        return None
    with moment(lake, until, window.made) as then:
        due += [kind for kind in FINDINGS if kind not in due and _at_once(then, kind)]
        looks = [_Look(then, kind, until) for kind in due]
    seen = _roots(looks)
    if back := ", ".join(str(key) for key in seen if key not in known):
        known |= _known(lake, f"finding_id IN ({back})")
    closable = {look.kind.name for look in looks if look.complete}
    asked = {kind.name for kind in due}
    names = {kind.name for kind in FINDINGS}
    changed = [_seen(row, known.get(key), until) for key, row in seen.items()]
    for key, row in known.items():
        if key in seen or row["closed_time"] is not None:
            continue
        of = row["entity"] if row["kind"] == FAILED else row["kind"]
        if of not in names:
            changed.append(row | {"closed_time": until})
        elif of in (asked if row["kind"] == FAILED else closable):
            changed.append(_missed(row, until))
    commit = Commit(
        {
            FINDING_RUNS.name: pl.DataFrame(
                [look.run for look in looks], FINDING_RUNS.schema, orient="row"
            )
        },
        replaced={FINDING_RUNS.name: "kind"},
    )
    if changed:
        commit.frames[TABLE.name] = pl.DataFrame(changed, TABLE.schema)
        commit.replaced[TABLE.name] = "finding_id"
    return commit


_SEEN: Final[MutableMapping[Lake, dict[str, int]]] = WeakKeyDictionary()
"""Of each lake and kind, the last change of what it reads that it has been asked after."""


def _changed(
    lake: Lake, window: "Window", due: Sequence[Kind], anyway: Collection[str]
) -> list[Kind]:
    """Those that may say other than when they were asked last, and those of these names."""
    seen, versions = _SEEN.setdefault(lake, {}), memory(lake).versions
    changed = []
    for kind in due:
        tables = sources(kind.rows)
        version = max((versions[table] for table in tables), default=0)
        is_new = version > seen.get(kind.name, -1) or not tables.isdisjoint(window.made)
        if is_new or kind.by_time or kind.name in anyway:
            changed.append(kind)
            seen[kind.name] = version
    return changed


def _at_once(then: Moment, kind: Kind) -> bool:
    """Whether a kind is asked before its time."""
    try:
        return bool(kind.at_once and then.ask(kind.at_once, SCRAPES_LOOKBACK))
    except duckdb.Error as raised:
        log.warning("whether to look for %s at once: %s", kind.name, raised)
        return False


def _is_behind(lake: Lake, start: datetime) -> bool:
    """Whether later minutes wait; not those of clocks that are ahead of what is received."""
    later = f"window_start >= {literal(start + BEHIND)}"
    waiting = lake.read(
        f"SELECT min(window_start) FROM {WINDOWS.name} WHERE stale AND {later}"
    ).item()
    if waiting is None:
        return False
    received = lake.read(f"SELECT max(minute) FROM {ACCOUNTING.name}").item()
    return received is not None and waiting < received


class _Look:
    """
    What one kind gives at a time.

    Attributes
    ----------
    rows
        Findings, without what depends on earlier ones.
    explains, shows
        Of each finding's id what explains others, and what tells that it is explained.
    complete
        Whether those that are not among them are not there.
    run
        Row of ``finding_runs``.
    """

    def __init__(self, then: Moment, kind: Kind, until: datetime) -> None:
        self.kind = kind
        query = f"""SELECT * FROM ({kind.rows}) ORDER BY
            list_position(['error', 'warning', 'info'], severity), entity LIMIT {MOST + 1}"""
        started, error, found = time.perf_counter(), None, []
        try:
            found = then.ask(query, kind.lookback, kind.only_if)
        except duckdb.Error as raised:
            error = str(raised)
            log.warning("%s until %s: %s", kind.name, until.isoformat(), error)
        took_ms = int((time.perf_counter() - started) * 1e3)
        self.complete = error is None and len(found) <= MOST
        self.rows = [_finding(kind, row, until) for row in found[:MOST]]
        ids = [row["finding_id"] for row in self.rows]
        self.explains = {
            key: row.get("explains") or [] for key, row in zip(ids, found, strict=False)
        }
        self.shows = {key: row.get("shows") for key, row in zip(ids, found, strict=False)}
        if not self.complete:
            told = error.splitlines()[0] if error else f"more than {MOST}: only those are kept"
            self.rows.append(_failure(kind, told))
        self.run = (kind.name, until, took_ms, None if error else len(self.rows), error)


def _roots(looks: Sequence[_Look]) -> dict[int, Row]:
    """Findings by id; one that another explains is a symptom of that, and none of its own."""
    seen = {row["finding_id"]: row for look in looks for row in look.rows}
    roots = {
        way: seen[key] for look in looks for key, ways in look.explains.items() for way in ways
    }
    for look in looks:
        for key, way in look.shows.items():
            if way in roots:
                row = seen.pop(key)
                roots[way]["symptoms"].append(f"{row['kind']} {row['entity']}")
    return seen


def _finding(kind: Kind, row: Row, until: datetime) -> Row:
    told = {name: row[name] for name in ("entity", "severity", "clusters", "summary")}
    told["symptoms"] = row.get("symptoms") or []
    return {
        "finding_id": finding_id(kind.name, row["entity"]),
        "kind": kind.name,
        **told,
        "action": kind.action,
        "evidence_sql": evidence(kind, row, until),
    }


def _failure(kind: Kind, summary: str) -> Row:
    return {
        "finding_id": finding_id(FAILED, kind.name),
        "kind": FAILED,
        "entity": kind.name,
        "severity": "warning",
        "clusters": [],
        "summary": summary,
        "symptoms": [],
        "action": _FAILED_ACTION,
        "evidence_sql": f"FROM {FINDING_RUNS.name} WHERE kind = {literal(kind.name)}",
    }


def finding_id(kind: str, entity: str) -> int:
    """The same for the same trouble, wherever and whenever it is found."""
    return xxhash.xxh3_64_intdigest(f"{kind}\0{entity}".encode())


def _known(lake: Lake, which: str) -> dict[int, Row]:
    rows = lake.read(f"FROM {TABLE.name} WHERE {which}")
    return {row["finding_id"]: row for row in rows.iter_rows(named=True)}


def _seen(row: Row, before: Mapping[str, Any] | None, until: datetime) -> Row:
    was_open = before is not None and before["closed_time"] is None
    return row | {
        "first_seen": before["first_seen"] if before else until,
        "last_seen": until,
        "opened_time": before["opened_time"] if before and was_open else until,
        "closed_time": None,
        "evaluations_missed": 0,
        "times_reopened": before["times_reopened"] + (not was_open) if before else 0,
    }


def _missed(row: Row, until: datetime) -> Row:
    missed = row["evaluations_missed"] + 1
    closed = until if missed >= CLOSE_AFTER else None
    return row | {"evaluations_missed": missed, "closed_time": closed}
