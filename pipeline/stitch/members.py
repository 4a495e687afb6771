"""
Members of each conversation: the client's record, gateways' in order, the server's.

Before: ties.py. After: rows.py.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from pipeline.stitch.pairs import Span
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER, Records
from pipeline.stitch.ties import MOST_GATEWAYS, Int64s, Paths, Ties

CLIENT_ORDER: Final = 0
SERVER_ORDER: Final = 9
_TOLD_ORDER: Final = MOST_GATEWAYS + 1
_MEMBER: Final = pl.Schema(
    {"owner": pl.UInt32, "record": pl.UInt32, "order": pl.Int64, "code": pl.Int64}
)
_PLACE: Final = (
    pl.col("owner").cast(pl.UInt64) * (1 << 34)
    + pl.col("order").cast(pl.UInt64) * (1 << 30)
    + pl.col("record").cast(pl.UInt64)
)
"""Owner, order, record as one number (of up to 2^30 records): a third of sorting by three."""


class Whole(NamedTuple):
    """
    Conversations and their records.

    Attributes
    ----------
    members
        ``owner``: the record that the conversation is named by, the client's if there is one,
        else the server's; ``record``; ``order``: 0 client, then gateways, 9 server, of which
        those of several attempts share one; ``code`` of the method by which it was tied, null of
        the owner; ``carried``: how many conversations the record is of, asked for or not. By
        owner, order and start.
    nth
        int64[members]: which conversation it is of.
    owner, client, server
        int64[conversations]: records; of several attempts the last server's; -1: none.
    hidden
        Records of no conversation: ends that several could be the other end of.
    """

    members: pl.DataFrame
    nth: Int64s
    owner: Int64s
    client: Int64s
    server: Int64s
    hidden: pl.Series


def whole(records: Records, paths: Paths, ties: Ties, asked: Span) -> Whole:
    """Each client's call that began then with what belongs to it; what is nobody's, by itself."""
    members = _all(records, paths, ties)
    carried = np.bincount(members["record"], minlength=records.rows.height).astype(np.uint32)
    is_asked = records.rows["start"].is_between(asked.start, asked.end, closed="left").to_numpy()
    hidden = ties.ambiguous["record"]
    hidden = hidden.filter((carried[hidden] == 0) & is_asked[hidden])
    members = members.with_columns(carried=carried[members["record"]])
    members = members.filter(is_asked[members["owner"]])
    owner, record, order = (
        members[name].cast(pl.Int64).to_numpy() for name in ("owner", "record", "order")
    )
    begins = np.diff(owner, prepend=-1) != 0
    nth = np.cumsum(begins) - 1
    client, server = np.full((2, begins.sum()), -1)
    for ends, at in ((client, CLIENT_ORDER), (server, SERVER_ORDER)):
        ends[nth[order == at]] = record[order == at]
    return Whole(members, nth, owner[begins], client, server, hidden)


def _all(records: Records, paths: Paths, ties: Ties) -> pl.DataFrame:
    """Rows of `Whole.members`."""
    role = records.rows["role"].to_numpy()
    clients = _members(np.flatnonzero(role == CLIENT), CLIENT_ORDER)
    served = ties.found.select(owner="record", record="other", order=SERVER_ORDER, code="code")
    is_open = role == SERVER
    is_open[ties.found["other"]] = False
    is_open[ties.ambiguous["record"]] = False
    alone = _members(np.flatnonzero(is_open), SERVER_ORDER)
    ends = _together(clients, served, alone, _told(records, ties))
    passed = _passed(ends, paths, role)
    is_open = role == GATEWAY
    is_open[ends["record"]] = False
    is_open[passed["record"]] = False
    rest = _members(np.flatnonzero(is_open), 1)
    every = _together(ends, passed, rest)
    return every[np.argsort(every.select(_PLACE).to_series().to_numpy())]


def _members(record: Int64s, order: int) -> pl.DataFrame:
    """Records that name their conversations."""
    data = {"owner": record, "record": record, "order": order}
    return pl.DataFrame(data).with_columns(code=pl.lit(None, pl.Int64))


def _told(records: Records, ties: Ties) -> pl.DataFrame:
    """Gateways' records that are of a call by its id: who took longer was before the other."""
    told = ties.told.select(owner="record", record="other", code="code")
    told = told.with_columns(records.of(told["record"], ["duration_ms"]))
    longest = pl.col("duration_ms").fill_null(0).rank("ordinal", descending=True).over("owner")
    return told.with_columns(order=longest.cast(pl.Int64) + (_TOLD_ORDER - 1))


def _together(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame.select(_MEMBER.names()).cast(dict(_MEMBER)) for frame in frames])  # type: ignore[arg-type]


def _passed(ends: pl.DataFrame, paths: Paths, role: Int64s) -> pl.DataFrame:
    """Gateways' records of connections: back from the last server's, else on from the client's."""
    passed_on = np.flatnonzero((role == GATEWAY) & (paths.next >= 0))
    before = np.full(len(role), -1)
    before[paths.next[passed_on]] = passed_on
    served = ends.filter(order=SERVER_ORDER)
    last = np.full(len(role), -1)
    np.maximum.at(last, *(served[name].cast(pl.Int64).to_numpy() for name in ("owner", "record")))
    servers = np.flatnonzero(last >= 0)
    clients = np.flatnonzero(role == CLIENT)
    is_passed = np.zeros(len(role), np.bool_)
    parts = [pl.DataFrame(schema=_MEMBER)]
    for owners, records, forward in ((servers, last[servers], False), (clients, clients, True)):
        owner, at = owners[~is_passed[owners]], records[~is_passed[owners]]
        code, at = paths.step[at], paths.next[at]
        for nth in range(MOST_GATEWAYS):
            owner, code, at = owner[at >= 0], code[at >= 0], at[at >= 0]
            is_passed[owner] = True
            order = nth + 1 if forward else MOST_GATEWAYS - nth
            data = {"owner": owner, "record": at, "order": order, "code": code}
            parts.append(pl.DataFrame(data, schema_overrides={"order": pl.Int64}))
            onward = paths.next[at] if forward else before[at]
            code = paths.step[at] if forward else paths.step[onward]
            at = onward
    return _together(*parts)
