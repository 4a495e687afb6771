"""
Connections: which gateway's record comes after which client's, and before which server's.

A gateway that passes TLS through knows no request, only a connection: where it
came from, where it went, and the server name. Many calls share it. Steps are
asked in order, each of what the ones before it left:

    connection  the same socket, address and port, in the same network; where a
                declared address stands for the gateway, the socket that came
    nat         the socket that a flow record says it was translated to
    nat_port    the same source port, sender a node of the client's cluster, and
                the same service, at the gateway the client went to
    sni         the same service at that gateway, begun together, and octets that
                can be; never what came from a workload, or another cluster

The last two are refused where a server behind saw another's certificate, and the last one where
it is not known which servers are behind.
Where a step knows several candidates, or a translation of which the far side was
not seen, later ones are not asked: they know less.

Before: pairs.py. After: ties.py.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.stitch.keys import hashed
from pipeline.stitch.pairs import (
    METHODS,
    SKEW_US,
    candidates,
    keyed,
    only_one,
    only_one_by_clocks,
)
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER, Records

_LINK: Final = pl.Schema({"record": pl.UInt32, "other": pl.UInt32, "code": pl.Int64})
_FITS: Final = (
    (pl.col("bytes_received") <= pl.col("bytes_received_other"))
    & (pl.col("bytes_sent") <= pl.col("bytes_sent_other"))
).fill_null(value=True)
"""A gateway passes TLS on: more octets than the bodies within."""
_BEHIND: Final = (
    pl.col("src_kind_other").is_in(["pod", "vm"]).not_() | pl.col("src_kind_other").is_null()
) & (
    (pl.col("src_cluster_other") == pl.col("client_cluster"))
    | pl.col("src_cluster_other").is_null()
)
_TOGETHER: Final = ((pl.col("start") - pl.col("start_other")).abs() <= SKEW_US) & (
    pl.col("end") <= pl.col("end_other") + SKEW_US
)
"""A gateway's connection begins with the first call on it, and none outlasts it."""
_LATE_US: Final = 100_000
"""A server may see so long after its gateway that a connection is over."""
_CONNECTING_US: Final = 500_000
"""A client's first call begins so long before its connection at the gateway."""
_NO_OTHER: Final = (pl.col("peer_other") == pl.col("identity")).fill_null(value=True)
"""A server that told of calls on it saw a certificate: the client's, as far as both are known."""
_GATE: Final = (
    *("record", "start", "end", "key", "src_kind", "src_cluster"),
    *("bytes_received", "bytes_sent", "peer", "is_doubtful"),
)
_GATE_TOLD: Final = (
    *("downstream_remote_port", "src_kind", "src_cluster", "bytes_received", "bytes_sent"),
)
_SENDER_TOLD: Final = (
    *("upstream_local_port", "bytes_received", "bytes_sent", "response_flags"),
    *("src_cluster", "cluster", "upstream_local_identity", "src_identity"),
)
_ANY: Final = pl.lit(value=True)


def links(records: Records, translations: pl.DataFrame, tied: pl.DataFrame) -> pl.DataFrame:
    """
    Records and the gateway's record next to them.

    Parameters
    ----------
    records
        As `records.prepared` gives them.
    translations
        As `records.translated` gives them.
    tied
        ``record``, ``other``: clients' records and servers' that are known to be of one call.

    Returns
    -------
    DataFrame
        ``record``, ``other`` (UInt32): of a client or gateway the gateway after it, of a server
        the one before it, one at most; ``code`` of the method.
    """
    is_gate = (pl.col("role") == GATEWAY) & pl.col("is_tcp")
    gates = records.keys.filter(is_gate)
    behind, doubtful = _before_servers(records, gates)
    senders = records.keys.filter(is_gate | (pl.col("role") == CLIENT))
    gates = _gates(gates, records, behind, doubtful)
    asking = _Asking(records, _senders(senders, translations), gates)
    asking.ask("connection", ["out_key"], ["in_key"])
    asking.ask("connection", ["out_from", "via"], ["in_from", "here"])
    asking.ask("nat", ["translated_from", "via"], ["in_from", "here"])
    asking.keep_connections(~pl.col("is_translated"), tied, behind)
    port = ["via", "client_cluster", "upstream_local_port", "target"]
    seen_port = ["here", "src_cluster", "downstream_remote_port", "target"]
    asking.ask(
        "nat_port", port, seen_port, admissible=(pl.col("src_kind_other") == "node") & _NO_OTHER
    )
    asking.ask(
        "sni",
        ["via", "target"],
        ["here", "target"],
        admissible=_BEHIND & _FITS & _TOGETHER & _NO_OTHER & ~pl.col("is_doubtful_other"),
    )
    return pl.concat([*asking.found, behind])


class _Asking:
    """Senders that have no gateway's record yet, and what was found."""

    def __init__(self, records: Records, senders: pl.DataFrame, gates: pl.DataFrame) -> None:
        self._records, self._senders, self._gates = records, senders, gates
        self._is_open = np.ones(records.rows.height, np.bool_)
        self._members = senders.select("record", first="record")
        self.found = [pl.DataFrame(schema=_LINK)]

    def ask(
        self, method: str, key: list[str], gate_key: list[str], *, admissible: pl.Expr = _ANY
    ) -> None:
        """One step: found, or several candidates, and it is not asked for again."""
        free, is_socket = self._gates, method == "connection"
        if not is_socket:
            taken = pl.concat(self.found).select(record="other")
            free = free.join(taken, on="record", how="anti")
        gates = free.with_columns(keyed(gate_key)).select(_GATE)
        senders = self._senders.with_columns(keyed(key)).join(gates, on="key", how="semi")
        senders = senders.filter(self._is_open[senders["record"]])
        if senders.is_empty():
            return
        near = candidates(senders, gates).filter(admissible)
        pairs = only_one_by_clocks(near, self._records) if is_socket else only_one(near)
        fitting = _fitting(near, pairs.found, _CONNECTING_US)
        found = self._members.join(fitting, left_on="first", right_on="record")
        code = pl.lit(METHODS.index(method), pl.Int64)
        self.found.append(found.select("record", "other", code=code))
        for done in pairs:
            self._is_open[done["record"]] = False

    def keep_connections(
        self, condition: pl.Expr, tied: pl.DataFrame, behind: pl.DataFrame
    ) -> None:
        """
        Go on with whole connections, of which this holds, and that no call of is tied.

        A call that is tied has its gateway from its server: neither is anybody else's.
        """
        is_tied = np.zeros(len(self._is_open), np.bool_)
        is_tied[tied["record"]] = is_tied[tied["other"]] = True
        taken = behind.filter(is_tied[behind["record"]])
        self._gates = self._gates.join(taken, left_on="record", right_on="other", how="anti")
        own = self._senders["record"]
        known = self._senders.filter(self._is_open[own] & is_tied[own]).select("connection")
        kept = self._senders.filter(self._is_open[own] & ~is_tied[own]).filter(condition)
        known = known.join(kept, on="connection", how="semi")
        kept = kept.join(known, on="connection", how="anti")
        kept = kept.with_columns(self._records.of(kept["record"], _SENDER_TOLD)).with_columns(
            client_cluster=pl.coalesce("src_cluster", "cluster"),
            identity=pl.coalesce("upstream_local_identity", "src_identity"),
        )
        clean = pl.col("response_flags").list.len().fill_null(0) == 0
        first = kept.group_by("connection", maintain_order=True).agg(
            pl.col("record").first(),
            pl.col("start").min(),
            pl.col("end").max(),
            pl.col("bytes_received", "bytes_sent").filter(clean).sum(),
            pl.col("via", "target", "upstream_local_port", "client_cluster", "identity").first(),
        )
        names = first.select("connection", first="record")
        self._members = kept.select("record", "connection").join(names, on="connection")
        self._senders = first


def _gates(
    gates: pl.DataFrame, records: Records, behind: pl.DataFrame, doubtful: pl.Series
) -> pl.DataFrame:
    """
    Gateways' records with ``peer``: the one certificate that servers behind saw.

    And ``is_doubtful``: servers' records may be behind it, and it is not known which.
    """
    peers = behind.with_columns(records.of(behind["record"], ["downstream_peer_identity"]))
    peer = pl.col("downstream_peer_identity")
    seen = peers.group_by("other").agg(peer=pl.when(peer.n_unique() == 1).then(peer.first()))
    gates = gates.with_columns(
        records.of(gates["record"], _GATE_TOLD),
        is_doubtful=pl.col("record").is_in(doubtful.implode()),
    )
    return gates.join(seen, left_on="record", right_on="other", how="left", maintain_order="left")


def _senders(records: pl.DataFrame, translations: pl.DataFrame) -> pl.DataFrame:
    """Records with a connection out, and what flow records say became of its socket."""
    senders = records.filter(pl.col("out_key").is_not_null()).select(
        *("record", "start", "end", "out_from", "out_key", "via", "target"),
        connection=pl.when("is_tcp").then(hashed("out_key", "record")).otherwise("out_key"),
    )
    flows = translations.rename({"flow_start": "start", "flow_end": "end", "out_key": "key"})
    flows = flows.with_row_index("record").with_columns(pl.col("record") + 1_000_000_000)
    told = candidates(senders.with_columns(key="out_key"), flows)
    told = told.group_by("record").agg(
        translated_from=pl.when(pl.col("in_from_other").n_unique() == 1).then(
            pl.col("in_from_other").first()
        ),
        is_translated=pl.lit(value=True),
    )
    senders = senders.join(told, on="record", how="left", maintain_order="left")
    return senders.with_columns(pl.col("is_translated").fill_null(value=False))


def _before_servers(records: Records, gates: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """
    Servers' records, and the gateway's whose connection out is their connection in.

    Besides, gateways' records that may be so of some, and it is not known of which.
    """
    servers = records.keys.filter(role=SERVER).select(
        "record",
        "start",
        "end",
        key="in_key",
        connection=pl.when("is_tcp").then(hashed("in_key", "record")).otherwise("in_key"),
    )
    keyed = gates.select("record", "start", "end", key="out_key")
    pairs = candidates(servers, keyed)
    found = only_one_by_clocks(pairs, records).found
    code = pl.lit(METHODS.index("connection"), pl.Int64)
    behind = _fitting(pairs, found, _LATE_US).with_columns(code=code)
    doubtful = pairs.select("other").unique().join(behind, on="other", how="anti")
    return behind, doubtful["other"]


def _fitting(pairs: pl.DataFrame, found: pl.DataFrame, slack_us: int) -> pl.DataFrame:
    """
    Of those found the ones that one shift of the clocks puts within their gateway's connection.

    If none does, some are of another connection with the same socket, whose record was lost.
    """
    begin = (pl.col("start_other") - pl.col("start")).max().over("other")
    end = (pl.col("end_other") - pl.col("end")).min().over("other")
    held = pairs.join(found, on=["record", "other"], how="semi")
    return held.filter(begin <= end + slack_us).select("record", "other")
