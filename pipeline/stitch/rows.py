"""
Rows of ``edges`` and ``legs``, of the members of each conversation.

Before: members.py. After: stage.py.
"""

from typing import Final

import polars as pl

from pipeline import schema
from pipeline.decode.response_flags import FLAGS
from pipeline.stitch.members import CLIENT_ORDER, SERVER_ORDER
from pipeline.stitch.records import CLIENT, GATEWAY, SERVER
from pipeline.stitch.ties import CONFIDENCE, METHODS, Ties

_MINUTE: Final = "1m"
_NONE: Final = METHODS.index("none")
_MISCONFIGURED: Final = [flag.short for flag in FLAGS if flag.blame == "configuration"]
_GRPC_FAILED: Final = [2, 4, 12, 13, 14, 15]
_ROLES: Final = {CLIENT: "client", GATEWAY: "gateway", SERVER: "server"}
_HOSTS: Final = ["pod", "vm"]
_SERVERS: Final = ["pod", "vm", "external"]
_CLIENT: Final = (
    *("request_id", "method", "authority", "path", "protocol", "service", "status", "grpc_status"),
    *("response_flags", "duration_ms", "bytes_received", "bytes_sent", "attempts", "cluster"),
    *("upstream_tls", "src_endpoint_id", "src_candidate_ids", "src_cluster", "dst_endpoint_id"),
    *("dst_candidate_ids", "dst_method", "dst_kind", "dst_cluster"),
)
_SERVER: Final = (
    *("request_id", "method", "authority", "path", "protocol", "service", "status", "grpc_status"),
    *("response_flags", "duration_ms", "bytes_received", "bytes_sent", "cluster", "downstream_tls"),
    *("src_endpoint_id", "src_candidate_ids", "src_cluster", "src_kind", "src_method"),
    *("dst_endpoint_id", "dst_candidate_ids", "dst_cluster"),
)
_GATE: Final = (
    *("protocol", "service", "response_flags", "status", "src_endpoint_id", "src_cluster"),
    *("src_kind", "dst_endpoint_id", "dst_cluster", "dst_kind", "dst_candidate_ids"),
)


def edges(
    records: pl.DataFrame, members: pl.DataFrame, ties: Ties, links: pl.DataFrame
) -> pl.DataFrame:
    """Rows of `schema.EDGES`, and ``owner``; one per conversation."""
    confidences = dict(enumerate(CONFIDENCE))
    order = pl.col("order")
    owners = members.select("owner").unique(maintain_order=True)
    clients = members.filter(order == CLIENT_ORDER).select("owner", client="record")
    servers = members.filter(order == SERVER_ORDER).select("owner", server="record")
    passed = members.filter(~order.is_in([CLIENT_ORDER, SERVER_ORDER]))
    passed = passed.join(records.select("record", "vantage_id", "reporter"), on="record")
    gates = passed.group_by("owner", maintain_order=True).agg(
        first_gate=pl.col("record").first(),
        gate=pl.col("record").last(),
        gateways="vantage_id",
        places=order.n_unique(),
        has_gateway=(pl.col("reporter").cast(pl.String) == "gateway").any(),
        code=pl.col("code").max(),
        joint=pl.col("code").replace_strict(confidences, return_dtype=pl.Float64).product(),
    )
    whole = owners
    for part in (clients, servers.unique("owner", keep="last", maintain_order=True), gates):
        whole = whole.join(part, on="owner", how="left", maintain_order="left")
    whole = whole.with_columns(
        pl.col("gateways").fill_null(pl.lit([], pl.List(pl.UInt64))),
        pl.col("has_gateway").fill_null(value=False),
        hops=pl.sum_horizontal(
            pl.col("client", "server").is_not_null(), pl.col("places").fill_null(0)
        ).cast(pl.UInt8),
    )
    tied = ties.found.unique("record", keep="last", maintain_order=True)
    tied = tied.select(client="record", tie_code="code", tie_joint="confidence")
    senders = _senders(records, links)
    names = records.select("start", "edge_no", "role")
    row = pl.concat([whole, _of(names, whole["owner"])], how="horizontal")
    row = row.join(tied, on="client", how="left", maintain_order="left")
    row = row.join(senders, on="first_gate", how="left", maintain_order="left")
    sides = [
        _of(records.select(columns), row[end]).select(pl.all().name.prefix(f"{end}_"))
        for end, columns in (("client", _CLIENT), ("server", _SERVER), ("gate", _GATE))
    ]
    row = pl.concat([row, *sides], how="horizontal")
    row = row.with_columns(_ends()).with_columns(_what())
    return row.select("owner", *schema.EDGES.schema.names())


def _of(records: pl.DataFrame, record: pl.Series) -> pl.DataFrame:
    """Rows of records, by number; null where there is none."""
    return records.select(pl.all().gather(record))


def _senders(records: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Of a gateway's connection whose client's proxy told of other calls on it: that client."""
    calls = links.join(records.filter(role=CLIENT), on="record")
    return calls.group_by(first_gate="other").agg(
        sender_endpoint_id=pl.col("src_endpoint_id").first(),
        sender_cluster=pl.coalesce("src_cluster", "cluster").first(),
        sender_code=pl.col("method_code").first(),
    )


def _ends() -> list[pl.Expr]:
    """Who and where both ends are, how they were joined."""
    has_client, has_server = pl.col("client").is_not_null(), pl.col("server").is_not_null()
    inferred = ~has_client & pl.col("sender_code").is_not_null()
    unseen = ~has_client & ~inferred
    straight = pl.col("server_src_kind").is_in(_HOSTS) & ~pl.col("has_gateway")
    direct = pl.col("client_dst_kind").is_in(_SERVERS)
    passed = pl.col("gate_dst_kind").is_in(_HOSTS)
    untranslated = pl.col("gate_src_kind").is_in(_HOSTS)
    confidence = dict(enumerate(CONFIDENCE))
    sent = pl.col("sender_code").replace_strict(confidence, default=1.0, return_dtype=pl.Float64)
    code = pl.when(inferred).then(pl.max_horizontal("code", "sender_code")).otherwise("code")
    tied = pl.col("tie_code").is_not_null()
    whole = pl.when(tied).then("tie_code").otherwise(code).fill_null(_NONE)
    joint = pl.when(inferred).then(pl.col("joint") * sent).otherwise("joint")
    return [
        pl.when(has_client)
        .then("client_src_endpoint_id")
        .when(inferred)
        .then("sender_endpoint_id")
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
        .then("sender_cluster")
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
        whole.replace_strict(dict(enumerate(METHODS)), return_dtype=pl.String)
        .cast(schema.EDGES.schema["match_method"])
        .alias("match_method"),
        pl.when(tied).then("tie_joint").when(whole != _NONE).then(joint).alias("confidence"),
        pl.when(has_client)
        .then("client_response_flags")
        .when(has_server)
        .then("server_response_flags")
        .otherwise("gate_response_flags")
        .alias("flags"),
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


def legs(
    records: pl.DataFrame, members: pl.DataFrame, edges: pl.DataFrame, ties: Ties
) -> pl.DataFrame:
    """Rows of `schema.LEGS`: of each edge, and of ends that are ambiguous."""
    method = schema.LEGS.schema["match_method"]
    ends = members.group_by("owner").agg(
        (pl.col("order") == CLIENT_ORDER).any().alias("has_client"),
        (pl.col("order") == SERVER_ORDER).any().alias("has_server"),
        (pl.len() == 1).alias("alone"),
    )
    named = edges.select("owner", "edge_id", "window_start")
    placed = members.with_columns(place=pl.struct("owner", "order").rle_id())
    hop = (pl.col("place") - pl.col("place").first().over("owner")).cast(pl.UInt8)
    rows = placed.with_columns(hop=hop)
    for part in (named, ends):
        rows = rows.join(part, on="owner", maintain_order="left")
    hidden = ties.ambiguous.join(members, on="record", how="anti").select("record")
    rows = pl.concat([rows, hidden], how="diagonal")
    doubtful = pl.col("record").is_in(ties.ambiguous["record"].implode())
    role = pl.col("role")
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
    own_minute = pl.col("start_time").dt.truncate(_MINUTE)
    told = [name for name in schema.LEGS.schema if name in records.columns]
    of_records = _of(records.select(told), rows["record"])
    full = pl.concat([rows, of_records], how="horizontal").with_columns(
        carried=pl.len().over("record").cast(pl.UInt32),
        window_start=pl.coalesce("window_start", own_minute),
        role=role.replace_strict(_ROLES, return_dtype=pl.String),
        match_method=pl.col("code")
        .replace_strict(dict(enumerate(METHODS)), default=None, return_dtype=pl.String)
        .cast(method),
        unmatched=unmatched,
    )
    return schema.complete(full, schema.LEGS.schema)
