"""
Rows of ``edges`` and ``legs``, of the members of each conversation.

Before: members.py. After: stage.py.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode.response_flags import FLAGS
from pipeline.stitch.members import CLIENT_ORDER, SERVER_ORDER, Whole
from pipeline.stitch.pairs import METHODS
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER, Records
from pipeline.stitch.ties import CONFIDENCE, Int64s, Paths, Ties

_MINUTE: Final = "1m"
_NONE: Final = METHODS.index("none")
_METHOD: Final = pl.Series(METHODS, dtype=schema.EDGES.schema["match_method"])
_ROLE: Final = pl.Series(["client", "gateway", "server"], dtype=schema.LEGS.schema["role"])
"""By code."""
_MISCONFIGURED: Final = [flag.short for flag in FLAGS if flag.blame == "configuration"]
_GRPC_FAILED: Final = [2, 4, 12, 13, 14, 15]
_HOSTS: Final = ["pod", "vm"]
_SERVERS: Final = ["pod", "vm", "external"]
_CLIENT: Final = (
    *("request_id", "method", "authority", "path", "protocol", "service", "status", "grpc_status"),
    *("duration_ms", "bytes_received", "bytes_sent", "attempts", "cluster"),
    *("upstream_tls", "src_endpoint_id", "src_candidate_ids", "src_cluster", "dst_endpoint_id"),
    *("dst_candidate_ids", "dst_method", "dst_kind", "dst_cluster"),
)
_SERVER: Final = (
    *("request_id", "method", "authority", "path", "protocol", "service", "status", "grpc_status"),
    *("duration_ms", "bytes_received", "bytes_sent", "cluster", "downstream_tls"),
    *("src_endpoint_id", "src_candidate_ids", "src_cluster", "src_kind", "src_method"),
    *("dst_endpoint_id", "dst_candidate_ids", "dst_cluster"),
)
_GATE: Final = (
    *("protocol", "service", "status", "src_endpoint_id", "src_cluster", "src_kind"),
    *("dst_endpoint_id", "dst_cluster", "dst_kind", "dst_candidate_ids"),
)
_SENDER: Final = ("src_endpoint_id", "src_cluster", "cluster")
_NOBODY: Final = -1


def edges(records: Records, whole: Whole, ties: Ties, paths: Paths) -> pl.DataFrame:
    """Rows of `schema.EDGES`; one per conversation."""
    gates = _gates(records, whole)
    first_gate = gates["first_gate"].fill_null(_NOBODY).to_numpy()
    sender = np.where(whole.client < 0, _senders(records, paths)[first_gate], _NOBODY)
    row = pl.DataFrame({"client": whole.client, "server": whole.server, "sender": sender})
    row = pl.concat(
        [
            row.cast(pl.UInt32, strict=False),  # -1 is none
            gates,
            _joints(whole.client, sender, gates, ties, paths),
            records.rows.select(pl.col("start", "edge_no").gather(whole.owner)),
        ],
        how="horizontal",
    )
    answered = row.select(pl.coalesce("client", "server", "gate")).to_series()
    sides = [
        records.of(row[end], columns).select(pl.all().name.prefix(f"{end}_"))
        for end, columns in (
            *(("client", _CLIENT), ("server", _SERVER)),
            *(("gate", _GATE), ("sender", _SENDER)),
        )
    ]
    flags = records.of(answered, ["response_flags"]).rename({"response_flags": "flags"})
    row = pl.concat([row, *sides, flags], how="horizontal")
    row = row.with_columns(_ends()).with_columns(_what())
    return row.select(schema.EDGES.schema.names())


def _gates(records: Records, whole: Whole) -> pl.DataFrame:
    """Of each conversation the gateways on its way; null, and no gateways, if there are none."""
    is_gate = ~whole.members["order"].is_in([CLIENT_ORDER, SERVER_ORDER])
    passed = whole.members.filter(is_gate).with_columns(nth=whole.nth[is_gate])
    passed = passed.with_columns(
        records.of(passed["record"], ["vantage_id", "reporter"]),
        joint=pl.Series(CONFIDENCE).gather(passed["code"]),
    )
    gates = passed.group_by("nth", maintain_order=True).agg(
        first_gate=pl.col("record").first(),
        gate=pl.col("record").last(),
        gateways="vantage_id",
        places=pl.col("order").n_unique(),
        has_gateway=(pl.col("reporter").cast(pl.String) == "gateway").any(),
        code=pl.col("code").max(),
        joint=pl.col("joint").product(),
    )
    every = pl.DataFrame({"nth": np.arange(len(whole.owner))})
    return every.join(gates, on="nth", how="left", maintain_order="left").with_columns(
        pl.col("gateways").fill_null(pl.lit([], pl.List(pl.UInt64))),
        pl.col("has_gateway").fill_null(value=False),
        pl.col("places").fill_null(0),
    )


def _senders(records: Records, paths: Paths) -> Int64s:
    """
    Of gateways' connections the first client whose proxy told of calls on it; -1: none.

    One more than there are records: the last is of none.
    """
    clients = np.flatnonzero((records.rows["role"].to_numpy() == CLIENT) & (paths.next >= 0))[::-1]
    senders = np.full(records.rows.height + 1, _NOBODY)
    senders[paths.next[clients]] = clients
    return senders


def _joints(
    client: Int64s, sender: Int64s, gates: pl.DataFrame, ties: Ties, paths: Paths
) -> pl.DataFrame:
    """``match_method`` and ``confidence``: of a tie of both ends, else of the way to a gateway."""
    code, joint = gates["code"].fill_null(_NOBODY).to_numpy(), gates["joint"].to_numpy()
    step, sure = paths.step[sender], np.array(CONFIDENCE)
    code = np.where(sender >= 0, np.maximum(code, step), code)
    joint = np.where(sender >= 0, joint * sure[step], joint)
    tie, tie_joint = np.full(len(paths.next), _NOBODY), np.zeros(len(paths.next))
    tie[ties.found["record"]] = ties.found["code"]
    tie_joint[ties.found["record"]] = ties.found["confidence"]
    tied = np.where(client >= 0, tie[client], _NOBODY)
    code = np.where(tied >= 0, tied, code)
    known = pl.DataFrame({"code": code, "joint": np.where(tied >= 0, tie_joint[client], joint)})
    return known.select(
        match_method=_METHOD.gather(np.where(code >= 0, code, _NONE)),
        confidence=pl.when(pl.col("code") >= 0).then("joint"),
    )


def _ends() -> list[pl.Expr]:
    """Who and where both ends are, how they were joined."""
    has_client, has_server = pl.col("client").is_not_null(), pl.col("server").is_not_null()
    inferred = pl.col("sender").is_not_null()
    unseen = ~has_client & ~inferred
    straight = pl.col("server_src_kind").is_in(_HOSTS) & ~pl.col("has_gateway")
    direct = pl.col("client_dst_kind").is_in(_SERVERS)
    passed = pl.col("gate_dst_kind").is_in(_HOSTS)
    untranslated = pl.col("gate_src_kind").is_in(_HOSTS)
    return [
        pl.when(has_client)
        .then("client_src_endpoint_id")
        .when(inferred)
        .then("sender_src_endpoint_id")
        .when(has_server & straight)
        .then("server_src_endpoint_id")
        .when(~has_server & untranslated)
        .then("gate_src_endpoint_id")
        .alias("client_endpoint_id"),
        pl.when(has_client)
        .then("client_src_candidate_ids")
        .when(unseen & ~pl.col("has_gateway"))
        .then("server_src_candidate_ids")
        .alias("client_candidate_ids"),
        pl.when(has_client)
        .then(pl.coalesce("client_src_cluster", "client_cluster"))
        .when(inferred)
        .then(pl.coalesce("sender_src_cluster", "sender_cluster"))
        .when(has_server & straight)
        .then("server_src_cluster")
        .when(~has_server & untranslated)
        .then("gate_src_cluster")
        .alias("client_of"),
        pl.when(has_server)
        .then("server_dst_endpoint_id")
        .when(passed)
        .then("gate_dst_endpoint_id")
        .when(direct)
        .then("client_dst_endpoint_id")
        .alias("server_endpoint_id"),
        pl.coalesce(
            "server_dst_candidate_ids", "gate_dst_candidate_ids", "client_dst_candidate_ids"
        ).alias("server_candidate_ids"),
        pl.when(has_server)
        .then(pl.coalesce("server_dst_cluster", "server_cluster"))
        .when(passed)
        .then("gate_dst_cluster")
        .when(direct)
        .then("client_dst_cluster")
        .alias("server_of"),
        (
            pl.col("has_gateway")
            | (pl.col("client_dst_method").cast(pl.String) == "gateway").fill_null(value=False)
            | (pl.col("server_src_method").cast(pl.String) == "gateway").fill_null(value=False)
        ).alias("is_via"),
    ]


def _what() -> list[pl.Expr]:
    """What was called, how it went, what each end counted."""
    start = pl.col("start").cast(schema.TIME)
    told = {
        name: pl.coalesce(f"client_{name}", f"server_{name}")
        for name in ("request_id", "method", "authority", "path", "grpc_status")
    }
    status = pl.coalesce("client_status", "server_status", "gate_status")
    client_bytes, server_bytes = (
        pl.sum_horizontal(
            pl.col(f"{end}_bytes_received", f"{end}_bytes_sent").cast(pl.Int64, strict=False),
            ignore_nulls=False,
        )
        for end in ("client", "server")
    )
    misconfigured = pl.col("flags").list.eval(pl.element().is_in(_MISCONFIGURED)).list.any()
    failed = (
        pl.when(told["method"].is_null())
        .then(pl.col("flags").list.len().fill_null(0) > 0)
        .when(told["grpc_status"].is_not_null())
        .then(told["grpc_status"].is_in(_GRPC_FAILED))
        .otherwise(status.is_null() | (status >= 500) | misconfigured.fill_null(value=False))  # noqa: PLR2004 HTTP
    )
    model = (
        pl.when("is_via")
        .then(pl.lit("gateway"))
        .when(pl.col("client_of") == pl.col("server_of"))
        .then(pl.lit("local"))
        .when(pl.col("client_of") != pl.col("server_of"))
        .then(pl.lit("flat"))
    )
    return [
        pl.col("edge_no").alias("edge_id"),
        pl.sum_horizontal(pl.col("client", "server").is_not_null(), "places")
        .cast(pl.UInt8)
        .alias("hops"),
        start.alias("start_time"),
        start.dt.truncate(_MINUTE).alias("window_start"),
        *(value.alias(name) for name, value in told.items()),
        pl.coalesce("client_service", "server_service", "gate_service").alias("service"),
        pl.coalesce("client_protocol", "server_protocol", "gate_protocol").alias("protocol"),
        pl.col("client_of").alias("client_cluster"),
        pl.col("server_of").alias("server_cluster"),
        model.cast(schema.EDGES.schema["path_model"]).alias("path_model"),
        status.alias("status"),
        failed.alias("error"),
        pl.col("client_duration_ms").alias("client_ms"),
        pl.col("server_duration_ms").alias("server_ms"),
        (pl.col("client_duration_ms") - pl.col("server_duration_ms")).alias("tax_ms"),
        (client_bytes - server_bytes).alias("bytes_difference"),
        pl.col("client_attempts").alias("attempts"),
        pl.col("client_upstream_tls").alias("client_tls"),
        pl.col("server_downstream_tls").alias("server_tls"),
    ]


def legs(records: Records, whole: Whole, ties: Ties) -> pl.DataFrame:
    """Rows of `schema.LEGS`: of each edge, and of ends that are ambiguous."""
    owner, order = (whole.members[name].to_numpy() for name in ("owner", "order"))
    begins = np.diff(whole.nth, prepend=-1) != 0
    places = np.cumsum(begins | (np.diff(order, prepend=-1) != 0))
    count = np.bincount(whole.nth, minlength=len(whole.owner))
    rows = whole.members.select(
        *("record", "code", "carried"),
        records.rows["edge_no"].gather(owner).alias("edge_id"),
        records.rows["start"].gather(owner).alias("began"),
        hop=(places - places[begins][whole.nth]).astype(np.uint8),
        has_client=(whole.client >= 0)[whole.nth],
        has_server=(whole.server >= 0)[whole.nth],
        alone=(count == 1)[whole.nth],
    )
    rows = pl.concat([rows, whole.hidden.to_frame()], how="diagonal")
    is_doubtful = np.zeros(records.rows.height, np.bool_)
    is_doubtful[ties.ambiguous["record"]] = True
    doubtful, role = pl.lit(pl.Series(is_doubtful[rows["record"]])), pl.col("role")
    unmatched = (
        pl.when(doubtful & ((role == SERVER) | ~pl.col("has_server")))
        .then(pl.lit("ambiguous"))
        .when((role == CLIENT) & ~pl.col("has_server"))
        .then(pl.lit("no_server"))
        .when((role == SERVER) & ~pl.col("has_client"))
        .then(pl.lit("no_client"))
        .when((role == GATEWAY) & pl.col("alone"))
        .then(pl.lit("no_ends"))
    )
    told = [name for name in schema.LEGS.schema if name in records.requests.columns]
    own = records.rows.select(pl.col("role", "start").gather(rows["record"]))
    full = pl.concat([rows, own, records.of(rows["record"], told)], how="horizontal")
    full = full.with_columns(
        pl.col("carried").fill_null(1),
        window_start=pl.coalesce("began", "start").cast(schema.TIME).dt.truncate(_MINUTE),
        role=_ROLE.gather(own["role"]),
        match_method=_METHOD.gather(rows["code"]),
        unmatched=unmatched,
    )
    return schema.complete(full, schema.LEGS.schema)
