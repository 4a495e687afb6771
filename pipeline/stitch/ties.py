"""
Calls: which server's record is of which client's call.

    request_id  the same id, authority, method and path: one id goes on through
                many services, so it is none of them alone
    trace_id    likewise
    connection  the same call on the same connection, or on a chain of them
    identity    the only such call, by this SPIFFE ID to this service, in the
                network the client's proxy called into

Before: chain.py. After: rows.py.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.stitch.pairs import Span, candidates, in_order, keyed, only_one, tries
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER

METHODS: Final = (
    *("request_id", "trace_id", "connection", "nat", "nat_port", "sni", "identity", "none"),
)
"""`schema.MATCH_METHOD`, the strongest first."""
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
        code = links["method"].replace_strict(
            {name: code for code, name in enumerate(METHODS)}, return_dtype=pl.Int64
        )
        record, other = (links[name].cast(pl.Int64).to_numpy() for name in ("record", "other"))
        self.next = np.full(count, _NONE)
        self.next[record] = other
        self.step = np.zeros(count, np.int64)
        self.step[record] = code.to_numpy()
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
_TIE: Final = pl.Schema([*_TOLD.items(), ("confidence", pl.Float64)])
_ANY: Final = pl.lit(value=True)
_CONNECTION, _IDENTITY = METHODS.index("connection"), METHODS.index("identity")
_USED: Final = (
    *("record", "role", "start", "end", "is_tcp", "call", "request_id", "trace_id", "status"),
    *("attempts", "in_key", "out_key", "here", "via", "network", "target", "identity"),
    *("network_no", "goes_to"),
)


class Pool:
    """
    Ends that have no other end yet, and what was found.

    Each question is asked of what the ones before it left.
    """

    def __init__(self, records: pl.DataFrame, span: Span) -> None:
        own = pl.coalesce("upstream_local_identity", "src_identity")
        peer = pl.col("downstream_peer_identity")
        rows = records.with_columns(
            identity=pl.when(pl.col("role") == CLIENT).then(own).otherwise(peer)
        ).select(_USED)
        self._span = span
        self._clients = rows.filter(pl.col("role") == CLIENT)
        self._servers = rows.filter(pl.col("role") == SERVER)
        self._gates = rows.filter((pl.col("role") == GATEWAY) & ~pl.col("is_tcp"))
        self._found = [pl.DataFrame(schema=_TIE)]
        self._told = [pl.DataFrame(schema=_TOLD)]
        self._ambiguous = [pl.DataFrame(schema={"record": pl.UInt32})]

    def ties(self) -> Ties:
        """All that was found so far."""
        found, told, ambiguous = map(pl.concat, (self._found, self._told, self._ambiguous))
        return Ties(found, told, ambiguous.unique())

    def ask_ids(self) -> None:
        """By an id and what was called, in the network the call went into, if that is known."""
        for code, name in enumerate(("request_id", "trace_id")):
            self._ask_gates(name, code)
            self._ask_id(code, [name, "call", "goes_to"], [name, "call", "network_no"])
            self._ask_id(code, [name, "call"], [name, "call"], pl.col("goes_to").is_null())

    def _ask_id(
        self, code: int, key: list[str], server_key: list[str], asked: pl.Expr = _ANY
    ) -> None:
        clients = self._clients.filter(asked).with_columns(keyed(key))
        servers = self._servers.with_columns(keyed(server_key))
        pairs = tries(clients, servers)
        left = servers.join(pairs.found, left_on="record", right_on="other", how="anti")
        several = in_order(clients.join(pairs.found, on="record", how="anti"), left)
        found = pl.concat([pairs.found, several.found]).with_columns(
            code=pl.lit(code, pl.Int64), confidence=pl.lit(CONFIDENCE[code])
        )
        self._take(found, several.ambiguous)

    def _ask_gates(self, name: str, code: int) -> None:
        """Gateways and waypoints that know requests: one record in a place, of one call."""
        clients, gates = (
            frame.with_columns(keyed([name, "call"])).drop_nulls("key")
            for frame in (self._clients, self._gates)
        )
        one = gates.filter(pl.len().over("key", "here") == 1).select("key", other="record")
        asked = clients.filter(pl.len().over("key") == 1)
        told = asked.join(one, on="key").select("record", "other", code=pl.lit(code, pl.Int64))
        self._told.append(told)
        self._gates = self._gates.join(told, left_on="record", right_on="other", how="anti")

    def ask_connections(self, paths: Paths) -> None:
        """By the chain of connections and what was called; ids, where both have one, differ."""
        for client_has, server_has in ((False, False), (True, False), (False, True)):
            self._ask_connections(paths, client_has=client_has, server_has=server_has)

    def _ask_connections(self, paths: Paths, *, client_has: bool, server_has: bool) -> None:
        has_id = pl.col("request_id").is_not_null()
        clients, servers = (
            _grouped(frame.filter(has_id == has), alone, paths)
            for frame, has, alone in (
                (self._clients, client_has, "out_key"),
                (self._servers, server_has, "in_key"),
            )
        )
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
        self._ask_identities(["via"], ["here"])
        self._ask_identities(["network"], ["network"])

    def _ask_identities(self, place: list[str], server_place: list[str]) -> None:
        same = ["identity", "target", "call", "status"]
        clients = self._clients.filter(pl.col("via").is_null() if place == ["network"] else True)
        rows = clients.with_columns(keyed([*place, *same]), connection="record")
        others = self._servers.with_columns(keyed([*server_place, *same]))
        pairs = candidates(rows, others.select("record", "start", "end", "key", "request_id"))
        both = pl.col("request_id").is_not_null() & pl.col("request_id_other").is_not_null()
        one = only_one(pairs.filter(~both))
        self._take(
            one.found.with_columns(
                code=pl.lit(_IDENTITY, pl.Int64), confidence=pl.lit(CONFIDENCE[_IDENTITY])
            ),
            one.ambiguous,
        )

    def _take(self, found: pl.DataFrame, ambiguous: pl.DataFrame) -> None:
        self._found.append(found)
        self._ambiguous.append(ambiguous)
        for done in (found.select("record"), found.select(record="other"), ambiguous):
            self._clients = self._clients.join(done, on="record", how="anti")
            self._servers = self._servers.join(done, on="record", how="anti")


def _grouped(rows: pl.DataFrame, alone: str, paths: Paths) -> pl.DataFrame:
    """``key``: the gateway's record at the end of the chain, else the connection itself."""
    last = paths.last[rows["record"].cast(pl.Int64).to_numpy()]
    rows = rows.with_columns(gate=pl.Series(last, dtype=pl.Int64))
    by_gate = pl.struct("gate", "is_tcp", "call").hash()
    by_socket = pl.struct(pl.col(alone).alias("socket"), "is_tcp", "call").hash()
    direct = pl.when(pl.col(alone).is_not_null()).then(by_socket)
    return rows.with_columns(key=pl.when(pl.col("gate") >= 0).then(by_gate).otherwise(direct))
