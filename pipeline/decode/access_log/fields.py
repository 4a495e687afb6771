"""
Fields of access logs, as texts, to columns of requests.

A field that is absent, null, "-" or "" is null; numbers may be text. One that
cannot be what it should is null, but for two that make the line untrustworthy:
a start time that is none, and a status that is no number of 0..999.

Before: json_format.py, text_format.py. After: requests.py.
Source: Envoy, access log command operators.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from pipeline import schema
from pipeline.decode.access_log.start_time import TimeFormat, start_ns
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.lines import Fault
from pipeline.decode.meshes import read_names

_COPIED: Final = {
    "method": "method",
    "authority": "authority",
    "path": "path",
    "protocol": "protocol",
    "response_code_details": "response_code_details",
    "connection_termination_details": "termination_details",
    "upstream_transport_failure_reason": "upstream_failure",
    "request_id": "request_id",
    "stream_id": "stream_id",
    "requested_server_name": "sni",
    "route_name": "route",
    "upstream_cluster": "upstream_cluster",
    "downstream_tls_version": "downstream_tls",
    "upstream_tls_version": "upstream_tls",
    "user_agent": "user_agent",
    "traffic_direction": "direction",
    "kuma_source_service": "reported_src_workload",
    "downstream_peer_cluster": "reported_src_cluster",
    "downstream_peer_namespace": "reported_src_namespace",
    "downstream_peer_workload": "reported_src_workload",
    "downstream_peer_name": "reported_src_pod",
    "upstream_peer_cluster": "reported_dst_cluster",
    "upstream_peer_namespace": "reported_dst_namespace",
    "upstream_peer_workload": "reported_dst_workload",
    "upstream_peer_name": "reported_dst_pod",
}
"""Field to column, where the column is the text."""

_IDENTITIES: Final = {
    "downstream_peer_uri_san": "downstream_peer_identity",
    "downstream_local_uri_san": "downstream_local_identity",
    "upstream_peer_uri_san": "upstream_peer_identity",
    "upstream_local_uri_san": "upstream_local_identity",
}
NUMBERS: Final = {
    "bytes_received": ("bytes_received", 1),
    "bytes_sent": ("bytes_sent", 1),
    "downstream_wire_bytes_received": ("downstream_wire_bytes_received", 1),
    "downstream_wire_bytes_sent": ("downstream_wire_bytes_sent", 1),
    "upstream_wire_bytes_received": ("upstream_wire_bytes_received", 1),
    "upstream_wire_bytes_sent": ("upstream_wire_bytes_sent", 1),
    "upstream_request_attempt_count": ("attempts", 1),
    "duration": ("duration_ms", 1),
    "duration_us": ("duration_ms", 1e3),
    "duration_ns": ("duration_ms", 1e6),
    "request_duration": ("request_ms", 1),
    "request_duration_us": ("request_ms", 1e3),
    "request_duration_ns": ("request_ms", 1e6),
    "response_duration": ("ttfb_ms", 1),
    "response_duration_us": ("ttfb_ms", 1e3),
    "response_duration_ns": ("ttfb_ms", 1e6),
    "upstream_service_time": ("upstream_ms", 1),  # a header: text
}
"""Field to column, and what it is divided by."""

_ENDS: Final = {
    "downstream_remote": (
        *("downstream_direct_remote_address", "downstream_direct_remote_ip"),
        *("downstream_remote_address", "downstream_remote_ip"),
    ),
    "downstream_local": ("downstream_local_address", "downstream_local_ip"),
    "upstream_local": ("upstream_local_address", "upstream_local_ip"),
    "upstream_remote": ("upstream_host", "upstream_remote_address", "upstream_remote_ip"),
}
"""End of a connection to the fields that say it; the first that does counts."""

JSON_KEYS: Final = (
    *(
        field
        for field in _COPIED
        if not field.startswith(("kuma_", "downstream_peer_", "upstream_peer_"))
    ),
    *_IDENTITIES,
    *(field for field in NUMBERS if not field.endswith(("_us", "_ns"))),
    *("downstream_direct_remote_address", "downstream_remote_address", "downstream_local_address"),
    *("upstream_host", "upstream_local_address"),
    *(
        "start_time",
        "response_code",
        "response_flags",
        "grpc_status",
        "trace_id",
        "access_log_type",
    ),
)
"""Keys of JSON logs whose format is not declared: Istio's, and others named in their style."""

_LONG_FLAGS: Final = {
    "FailedLocalHealthCheck": "LH",
    "NoHealthyUpstream": "UH",
    "UpstreamRequestTimeout": "UT",
    "LocalReset": "LR",
    "UpstreamRemoteReset": "UR",
    "UpstreamConnectionFailure": "UF",
    "UpstreamConnectionTermination": "UC",
    "UpstreamOverflow": "UO",
    "NoRouteFound": "NR",
    "DelayInjected": "DI",
    "FaultInjected": "FI",
    "RateLimited": "RL",
    "UnauthorizedExternalService": "UAEX",
    "RateLimitServiceError": "RLSE",
    "DownstreamConnectionTermination": "DC",
    "UpstreamRetryLimitExceeded": "URX",
    "StreamIdleTimeout": "SI",
    "InvalidEnvoyRequestHeaders": "IH",
    "DownstreamProtocolError": "DPE",
    "UpstreamMaxStreamDurationReached": "UMSDR",
    "ResponseFromCacheFilter": "RFCF",
    "NoFilterConfigFound": "NFCF",
    "DurationTimeout": "DT",
    "UpstreamProtocolError": "UPE",
    "NoClusterFound": "NC",
    "OverloadManagerTerminated": "OM",
    "DnsResolutionFailed": "DF",
    "DownstreamRemoteReset": "DR",
    "DropOverload": "DO",
    "UnconditionalDropOverload": "UDO",
}
_LOG_TYPES: Final = {
    "DownstreamStart": "start",
    "DownstreamTunnelSuccessfullyEstablished": "start",
    "TcpUpstreamConnected": "start",
    "UdpTunnelUpstreamConnected": "start",
    "DownstreamPeriodic": "periodic",
    "TcpPeriodic": "periodic",
    "UdpPeriodic": "periodic",
    "DownstreamEnd": "end",
    "TcpConnectionEnd": "end",
    "UdpSessionEnd": "end",
    "UpstreamPoolReady": "attempt",
    "UpstreamPeriodic": "attempt",
    "UpstreamEnd": "attempt",
}
_GRPC: Final = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"),
    *("AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"),
    *("OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)
_GRPC_NUMBERS: Final = {name.lower(): number for number, name in enumerate(_GRPC)} | {
    "cancelled": 1
}
_MAX_STATUS: Final = 999


def read_fields(
    texts: pl.DataFrame, time: TimeFormat | None
) -> tuple[pl.DataFrame, npt.NDArray[np.int8]]:
    """
    Read n lines' fields.

    Parameters
    ----------
    texts
        n rows of fields, as text; numbers may be numbers. One that is not a
        column was not in the format; one that is null was, and had no value.
    time
        How start times are written; None: RFC 3339.

    Returns
    -------
    DataFrame
        The same n rows: columns for `request_rows`, but for whom they are of.
    array
        int8[n], `Fault.NONE` or what makes the line of no use.
    """
    told = set(texts.columns)
    faults = np.full(len(texts), Fault.NONE, np.int8)
    texts = _with_values(texts)
    texts = _with_values(texts.with_columns(_without_dashes(texts)))
    if "start_time" not in texts.columns:
        faults[:] = Fault.NO_START
        return pl.DataFrame(
            {"start_ns": pl.repeat(None, len(faults), dtype=pl.Int64, eager=True)}
        ), faults
    rows = texts.select(
        start_ns(texts["start_time"], time),
        *_status(texts),
        **_columns(texts, told),
    ).with_columns(_address_columns(texts))
    if "wrong_status" in rows.columns:
        faults[rows.drop_in_place("wrong_status").to_numpy()] = Fault.BAD_STATUS
    faults[rows["start_ns"].is_null().to_numpy()] = Fault.BAD_START
    faults[texts["start_time"].is_null().to_numpy()] = Fault.NO_START
    return rows, faults


def _with_values(texts: pl.DataFrame) -> pl.DataFrame:
    """Columns that have any: one without is as good as none, and costs nothing."""
    return texts.select(column.name for column in texts if column.null_count() < len(column))


def _without_dashes(texts: pl.DataFrame) -> list[pl.Expr]:
    """What stands for nothing, "-" and "", is null."""
    short = texts.select((cs.string().str.len_bytes() <= 1).any())
    names = [column.name for column in short if column[0]]
    return [
        pl.when((pl.col(name) != "") & (pl.col(name) != "-")).then(name).alias(name)
        for name in names
    ]


def _status(texts: pl.DataFrame) -> list[pl.Expr]:
    """Status, and whether it is none that could be."""
    if "response_code" not in texts.columns:
        return []
    code = pl.col("response_code").cast(pl.Int64, strict=False)
    fits = code.is_between(0, _MAX_STATUS).fill_null(value=False)
    return [
        pl.when(fits).then(code).cast(pl.UInt16).alias("status"),
        (pl.col("response_code").is_not_null() & ~fits).alias("wrong_status"),
    ]


def _columns(texts: pl.DataFrame, told: set[str]) -> dict[str, pl.Expr]:
    """All columns but times, status and addresses; those that nothing is told of are left out."""
    here = set(texts.columns)
    columns = {column: pl.col(field) for field, column in _COPIED.items() if field in here}
    columns |= {
        column: _identity(texts[field]) for field, column in _IDENTITIES.items() if field in here
    }
    for field, (column, per) in NUMBERS.items():
        if field in here:
            columns.setdefault(column, _number(pl.col(field), column, per))
    if "protocol" in told:
        unset = [pl.col(name).is_null() for name in ("protocol", "method") if name in here]
        tcp = pl.when(pl.all_horizontal(unset) if unset else pl.lit(value=True))
        spoken = pl.col("protocol") if "protocol" in here else pl.lit(None, pl.String)
        columns["protocol"] = tcp.then(pl.lit("TCP")).otherwise(spoken)
    if "response_flags" in here:
        columns["response_flags"] = pl.col("response_flags")
    elif "response_flags_long" in here:
        flags = pl.col("response_flags_long").str.split(",")
        columns["response_flags"] = flags.list.eval(pl.element().replace(_LONG_FLAGS))
    if "grpc_status" in here:
        columns["grpc_status"] = _grpc_status(pl.col("grpc_status").cast(pl.String))
    if "access_log_type" in here:
        columns["log_type"] = pl.col("access_log_type").replace_strict(
            _LOG_TYPES, default=None, return_dtype=schema.LOG_TYPE
        )
    traces = {
        "trace_id": pl.col("trace_id"),
        "traceparent": pl.col("traceparent").str.extract("^[0-9a-f]{2}-([0-9a-f]{32})-"),
        "b3": pl.col("b3").str.extract("^([0-9a-f]{16,32})-"),
    }
    if found := [trace for field, trace in traces.items() if field in here]:
        columns["trace_id"] = pl.coalesce(found)
    return columns | _of_kuma(texts, told)


def _identity(san: pl.Series) -> pl.Expr:
    """Of a certificate's several URIs the SPIFFE ID, if one is."""
    text = pl.col(san.name)
    if not san.str.contains(",", literal=True).any():
        return text
    return pl.coalesce(text.str.extract("(?:^|,)(spiffe://[^,]+)"), text)


def _number(text: pl.Expr, column: str, per: float) -> pl.Expr:
    dtype = schema.DECODED_REQUESTS[column]
    number = text.cast(dtype, strict=False)
    if dtype == pl.Float64():
        return pl.when((number >= 0) & number.is_finite()).then(number / per if per > 1 else number)
    return number


def _grpc_status(text: pl.Expr) -> pl.Expr:
    """By number or by name, in camel or snake case."""
    name = text.str.replace_all("_", "", literal=True).str.to_lowercase()
    number = pl.coalesce(
        text.cast(pl.UInt8, strict=False),
        name.replace_strict(_GRPC_NUMBERS, default=None, return_dtype=pl.UInt8),
    )
    return pl.when(number < len(_GRPC)).then(number)


def _of_kuma(texts: pl.DataFrame, told: set[str]) -> dict[str, pl.Expr]:
    """What Kuma's placeholders say of both sides; "*" is any source, not one."""
    columns: dict[str, pl.Expr] = {}
    if not told & {"kuma_source_service", "kuma_destination_service"}:
        return columns
    columns["mesh"] = pl.lit("kuma")
    if "kuma_source_service" in texts.columns:
        source = pl.col("kuma_source_service")
        columns["reported_src_workload"] = pl.when(~source.is_in(["*", "unknown"])).then(source)
    if "kuma_destination_service" in texts.columns:
        names = texts.select(sni="kuma_destination_service", mesh=pl.lit("kuma"))
        read = read_names(names).select("service", "service_port")
        service = pl.coalesce(read["service"], texts["kuma_destination_service"])
        columns |= {"service": service, "service_port": pl.lit(read["service_port"])}
    return columns


def _address_columns(texts: pl.DataFrame) -> list[pl.Series]:
    """Addresses and ports of the connections' ends."""
    here = set(texts.columns)
    columns = []
    for end, fields in _ENDS.items():
        found = [_address(field, here) for field in fields if field in here]
        if not found:
            continue
        text = (
            texts[fields[0]]
            if len(found) == 1 and fields[0] in here
            else texts.select(pl.coalesce(found)).to_series()
        )
        columns += [
            column.alias(f"{end}_{part}")
            for part, column in parse_addresses(text)._asdict().items()
        ]
    return columns


def _address(field: str, here: set[str]) -> pl.Expr:
    """An address, of a field that has its port in it or beside it."""
    text = pl.col(field)
    if not field.endswith("_ip"):
        return text
    host = pl.when(text.str.contains(":", literal=True)).then("[" + text + "]").otherwise(text)
    port = f"{field.removesuffix('_ip')}_port"
    return pl.concat_str(host, ":" + pl.col(port)) if port in here else host
