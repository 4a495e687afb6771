"""
Calls: which server's record is of which client's call.

    request_id  the same id, authority, method and path: one id goes on through
                many services, so it is none of them alone
    trace_id    likewise
    connection  the same call on the same connection, or on a chain of them; of calls that have
                one id in common, too
    identity    the only such call, by this SPIFFE ID to this service, in the
                network the client's proxy called into

Before: chain.py. After: rows.py.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.stitch.keys import hashed
from pipeline.stitch.pairs import (
    METHODS,
    Span,
    candidates,
    in_order,
    keyed,
    of_one_key,
    only_one,
)
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER, Records

CONFIDENCE: Final = (1.0, 0.99, 0.98, 0.97, 0.95, 0.8, 0.6, 0.0)
"""Of one joint, by its method: a judgement, in the order of the evidence."""

Int64s = NDArray[np.int64]
_NONE: Final = -1
MOST_GATEWAYS: Final = 3


class Paths:
    """
    Chains of connections, by record.

    Attributes
    ----------
    next, last
        int64[n]: of a client's or gateway's record the gateway's after it, and the last one after
        it; of a server's the one before it, both. -1: none.
    step
        int64[n]: code of the method of ``next``.
    weakest
        int64[n]: code of the weakest method up to ``last``; 0 if none.
    confidence
        float64[n]: product up to ``last``; 1 if none.
    """

    def __init__(self, count: int, links: pl.DataFrame) -> None:
        record, other, code = (
            links[name].cast(pl.Int64).to_numpy() for name in ("record", "other", "code")
        )
        self.next = np.full(count, _NONE)
        self.next[record] = other
        self.step = np.zeros(count, np.int64)
        self.step[record] = code
        self.last = self.next.copy()
        self.weakest = self.step.copy()
        self.confidence = np.where(self.next >= 0, np.array(CONFIDENCE)[self.step], 1.0)
        for _ in range(MOST_GATEWAYS - 1):
            more = np.flatnonzero((self.last >= 0) & (self.next[self.last] >= 0))
            at = self.last[more]
            self.weakest[more] = np.maximum(self.weakest[more], self.step[at])
            self.confidence[more] *= np.array(CONFIDENCE)[self.step[at]]
            self.last[more] = self.next[at]


class Ties(NamedTuple):
    """
    What ties ends together.

    Attributes
    ----------
    found
        ``record`` (a client's), ``other`` (a server's, of one call at most), ``code`` (of the
        weakest method), ``confidence``.
    told
        ``record`` (a client's), ``other``: a gateway's that knows requests; ``code``.
    ambiguous
        ``record``: ends that several could be the other end of.
    """

    found: pl.DataFrame
    told: pl.DataFrame
    ambiguous: pl.DataFrame


_TOLD: Final = pl.Schema({"record": pl.UInt32, "other": pl.UInt32, "code": pl.Int64})
_REQUEST_ID, _CONNECTION, _IDENTITY = map(METHODS.index, ("request_id", "connection", "identity"))
_USED: Final = (
    *("record", "start", "end", "is_tcp", "call", "request_no", "trace_no", "status", "attempts"),
    *("in_key", "out_key", "here", "via", "target", "network_no", "goes_to"),
)


class Pool:
    """
    Ends that have no other end yet, and what was found.

    Each question is asked of what the ones before it left.
    """

    def __init__(self, records: Records, span: Span) -> None:
        self._records, self._span = records, span
        self._is_open = np.ones(records.rows.height, np.bool_)
        self._clients = records.keys.filter(role=CLIENT).select(_USED)
        self._servers = records.keys.filter(role=SERVER).select(_USED)
        self._gates = records.keys.filter(~pl.col("is_tcp"), role=GATEWAY).select(_USED)
        self._found = [_of_code(records.sure, _REQUEST_ID)]
        self._told = [pl.DataFrame(schema=_TOLD)]
        self._is_ambiguous = np.zeros(records.rows.height, np.bool_)

    def ties(self) -> Ties:
        """All that was found so far."""
        ambiguous = pl.DataFrame({"record": np.flatnonzero(self._is_ambiguous).astype(np.uint32)})
        return Ties(pl.concat(self._found), pl.concat(self._told), ambiguous)

    def ask_ids(self) -> None:
        """By an id and what was called, in the network the call went into, if that is known."""
        for code, name in enumerate(("request_no", "trace_no")):
            self._ask_gates(name, code)
            into_known = pl.col("goes_to").is_not_null()
            self._ask_id(code, into_known, [name, "call", "goes_to"], [name, "call", "network_no"])
            self._ask_id(code, ~into_known, [name, "call"], [name, "call"])

    def _ask_id(self, code: int, asked: pl.Expr, key: list[str], server_key: list[str]) -> None:
        if self._is_settled():
            return
        used = ("record", "start", "end", "attempts")
        pairs = of_one_key(
            self._clients.filter(asked).select(*used, keyed(key)),
            self._servers.select(*used, keyed(server_key)),
        )
        self._take(_of_code(pairs.found, code), pairs.ambiguous)

    def _ask_gates(self, name: str, code: int) -> None:
        """Gateways and waypoints that know requests: one record in a place, of one call."""
        gates = self._gates.select("record", "here", keyed([name, "call"])).drop_nulls("key")
        asked = self._clients.select("record", keyed([name, "call"]))
        asked = asked.join(gates, on="key", how="semi").filter(pl.col("key").is_unique())
        one = gates.filter(pl.struct("key", "here").is_unique()).select("key", other="record")
        told = asked.join(one, on="key").select("record", "other", code=pl.lit(code, pl.Int64))
        self._told.append(told)
        self._gates = self._gates.join(told, left_on="record", right_on="other", how="anti")

    def ask_connections(self, paths: Paths) -> None:
        """By the chain of connections and what was called; two ids are one that several share."""
        keys = self._records.keys
        shared = keys.filter(self._is_ambiguous[keys["record"]])
        clients, servers = (shared.filter(role=role).select(_USED) for role in (CLIENT, SERVER))
        self._ask_connections(paths, clients, servers, ["is_tcp", "call", "request_no"])
        for client_has, server_has in ((False, False), (True, False), (False, True)):
            has_id = pl.col("request_no").is_not_null()
            clients = self._clients.filter(has_id == client_has)
            servers = self._servers.filter(has_id == server_has)
            self._ask_connections(paths, clients, servers, ["is_tcp", "call"])

    def _ask_connections(
        self, paths: Paths, clients: pl.DataFrame, servers: pl.DataFrame, call: list[str]
    ) -> None:
        if clients.is_empty() or servers.is_empty():
            return
        clients = _grouped(clients, "out_key", call, paths)
        servers = _grouped(servers, "in_key", call, paths)
        pairs = in_order(clients, servers, self._span)
        record, other = (
            pairs.found[name].cast(pl.Int64).to_numpy() for name in ("record", "other")
        )
        code = np.maximum(np.maximum(paths.weakest[record], paths.weakest[other]), _CONNECTION)
        joints = paths.confidence[record] * paths.confidence[other]
        direct = paths.last[record] < 0
        self._take(
            pairs.found.with_columns(
                code=pl.Series(code, dtype=pl.Int64),
                confidence=pl.Series(np.where(direct, CONFIDENCE[_CONNECTION], joints)),
            ),
            pairs.ambiguous,
        )

    def ask_identities(self) -> None:
        """By who called what where; ends that both have an id are none of each other's."""
        self._ask_identities(pl.col("via").is_not_null(), "via", "here")
        within = pl.col("via").is_null() & (pl.col("network_no") != 0)
        self._ask_identities(within, "network_no", "network_no")

    def _ask_identities(self, asked: pl.Expr, place: str, server_place: str) -> None:
        if self._is_settled():
            return
        same = ["identity", "target", "call", "status"]
        used = ("record", "start", "end", "request_no")
        own = self._of(self._clients.filter(asked), ["upstream_local_identity", "src_identity"])
        peers = self._of(self._servers, ["downstream_peer_identity"])
        pairs = candidates(
            own.select(*used, keyed([place, *same]), connection="record"),
            peers.select(*used, keyed([server_place, *same])),
        )
        both = pl.col("request_no").is_not_null() & pl.col("request_no_other").is_not_null()
        one = only_one(pairs.filter(~both))
        self._take(_of_code(one.found, _IDENTITY), one.ambiguous)

    def _is_settled(self) -> bool:
        """Whether there is nobody left to ask about."""
        return self._clients.is_empty() or self._servers.is_empty()

    def _of(self, rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
        """With ``identity``, the first of these that is known."""
        identity = self._records.of(rows["record"], names).select(pl.coalesce(names))
        return rows.with_columns(identity=identity.to_series())

    def _take(self, found: pl.DataFrame, ambiguous: pl.DataFrame) -> None:
        self._found.append(found)
        self._is_ambiguous[ambiguous["record"]] = True
        for known in (found["record"], found["other"]):
            self._is_ambiguous[known] = False
            self._is_open[known] = False
        self._is_open[ambiguous["record"]] = False
        self._clients, self._servers = (
            rows.filter(self._is_open[rows["record"]]) for rows in (self._clients, self._servers)
        )


def _of_code(found: pl.DataFrame, code: int) -> pl.DataFrame:
    """Ties by one method."""
    return found.with_columns(code=pl.lit(code, pl.Int64), confidence=pl.lit(CONFIDENCE[code]))


def _grouped(rows: pl.DataFrame, alone: str, call: list[str], paths: Paths) -> pl.DataFrame:
    """``key``: the gateway's record at the end of the chain, else the connection; and the call."""
    last = paths.last[rows["record"].cast(pl.Int64).to_numpy()]
    rows = rows.with_columns(gate=pl.Series(last, dtype=pl.Int64))
    by_gate = hashed("gate", *call)
    by_socket = hashed(alone, *call)
    direct = pl.when(pl.col(alone).is_not_null()).then(by_socket)
    return rows.with_columns(key=pl.when(pl.col("gate") >= 0).then(by_gate).otherwise(direct))
