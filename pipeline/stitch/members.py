"""
Members of each conversation: the client's record, gateways' in order, the server's.

Before: ties.py. After: rows.py.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.stitch.records import CLIENT, GATEWAY, SERVER
from pipeline.stitch.ties import MOST_GATEWAYS, Int64s, Paths, Ties

CLIENT_ORDER: Final = 0
SERVER_ORDER: Final = 9
_TOLD_ORDER: Final = MOST_GATEWAYS + 1
_MEMBER: Final = pl.Schema(
    {"owner": pl.UInt32, "record": pl.UInt32, "order": pl.Int64, "code": pl.Int64}
)


def members(records: pl.DataFrame, paths: Paths, ties: Ties) -> pl.DataFrame:
    """
    Records of conversations: each client's call; and what is nobody's known, by itself.

    Returns
    -------
    DataFrame
        ``owner``: the record that the conversation is named by, the client's if there is one,
        else the server's; ``record``; ``order``: 0 client, then gateways, 9 server, of which
        those of several attempts share one; ``code`` of the method by which it was tied, null of
        the owner. By owner, order and start.
    """
    nothing = pl.lit(None, pl.Int64)
    own = records.select("role", owner="record", record="record", code=nothing)
    clients = own.filter(pl.col("role") == CLIENT).with_columns(order=pl.lit(CLIENT_ORDER))
    at_server = pl.lit(SERVER_ORDER)
    served = ties.found.select(owner="record", record="other", code="code", order=at_server)
    hidden = pl.concat([ties.found.select(record="other"), ties.ambiguous])
    alone = own.filter(pl.col("role") == SERVER).join(hidden, on="record", how="anti")
    alone = alone.with_columns(order=at_server)
    longest = pl.col("duration_ms").fill_null(0).rank("ordinal", descending=True).over("owner")
    told = ties.told.select(owner="record", record="other", code="code")
    told = told.join(records.select("record", "duration_ms"), on="record")
    told = told.with_columns(order=longest.cast(pl.Int64) + (_TOLD_ORDER - 1))
    ends = _together(clients, served, alone, told)
    passed = _passed(ends, paths, records["role"].to_numpy())
    gates = own.filter(pl.col("role") == GATEWAY).with_columns(order=pl.lit(1))
    rest = gates.join(_together(ends, passed), on="record", how="anti")
    starts = records.select("record", "start")
    whole = _together(ends, passed, rest).join(starts, on="record")
    return whole.sort("owner", "order", "start", "record").drop("start")


def _together(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame.select(_MEMBER.names()).cast(dict(_MEMBER)) for frame in frames])  # type: ignore[arg-type]


def _passed(ends: pl.DataFrame, paths: Paths, role: Int64s) -> pl.DataFrame:
    """Gateways' records of connections: back from the last server's, else on from the client's."""
    passed_on = np.flatnonzero((role == GATEWAY) & (paths.next >= 0))
    before = np.full(len(role), -1)
    before[paths.next[passed_on]] = passed_on
    servers = ends.filter(order=SERVER_ORDER).unique("owner", keep="last", maintain_order=True)
    parts = [pl.DataFrame(schema=_MEMBER)]
    for frame, forward in ((servers, False), (ends.filter(order=CLIENT_ORDER), True)):
        done = pl.concat(parts)
        left = frame.join(done, on="owner", how="anti")
        owner, at = (left[name].cast(pl.Int64).to_numpy() for name in ("owner", "record"))
        code, at = paths.step[at], paths.next[at]
        for nth in range(MOST_GATEWAYS):
            owner, code, at = owner[at >= 0], code[at >= 0], at[at >= 0]
            order = nth + 1 if forward else MOST_GATEWAYS - nth
            data = {"owner": owner, "record": at, "order": np.full(len(at), order), "code": code}
            parts.append(pl.DataFrame(data).cast(dict(_MEMBER)))  # type: ignore[arg-type]
            onward = paths.next[at] if forward else before[at]
            code = paths.step[at] if forward else paths.step[onward]
            at = onward
    return pl.concat(parts)
