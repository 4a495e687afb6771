"""
Calls that their id tells: of the client's proxy one record, of the server's one at most.

Most calls are so, and to sort the ids shows which. What is left has no id, or one that several
calls or attempts have in common: who belongs to whom is not said by the id alone.

Before: recorded.py, records.py. After: direct.py, rollup.py.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.stitch.keys import hashed
from pipeline.stitch.records import CLIENT, GATEWAY, IS_OVER, ROLES, SERVER

_CALL: Final = ("request_id", "authority", "method", "path")
"""The same in all records of a call: one id goes on through many services."""
_CLIENT, _SERVER, _PASSED, _NOBODY = np.arange(4, dtype=np.uint64)
_PLACE: Final = {CLIENT: _CLIENT, SERVER: _SERVER, GATEWAY: _PASSED}
_PLACE_BITS: Final = np.uint64(2)
_NO_MORE: Final = [_NOBODY, _NOBODY]


def calls_by_id(requests: pl.DataFrame) -> pl.DataFrame:
    """
    Calls of which one client's proxy tells, and one server's or none.

    Parameters
    ----------
    requests
        Rows of `schema.REQUESTS`.

    Returns
    -------
    DataFrame
        ``client``, ``server``: UInt32, rows of ``requests``; ``server`` is null if none told.
        ``is_passed``: gateways or waypoints that know requests told of it, too.
    """
    is_told = IS_OVER & pl.all_horizontal(pl.col(_CALL).is_not_null())
    told = requests.select(
        place=pl.when(is_told).then(_place()).fill_null(pl.lit(_NOBODY)), call=hashed(*_CALL)
    )
    keys = told["call"].to_numpy() << _PLACE_BITS | told["place"].to_numpy()
    rows = np.argsort(keys)
    keys, rows = np.append(keys[rows], _NO_MORE), np.append(rows, _NO_MORE)
    at = np.flatnonzero(keys & _NOBODY == _CLIENT)
    own, after, later = keys[at], keys[at + 1], keys[at + 2]
    is_served = after == own | _SERVER
    is_one = (own != after) & (own != keys[at - 1]) & ~(is_served & (after == later))
    calls = pl.DataFrame(
        {
            "client": rows[at],
            "server": rows[at + 1],
            "is_passed": np.where(is_served, later, after) == own | _PASSED,
            "is_served": is_served,
        }
    )
    return (
        calls.filter(is_one)
        .select(
            pl.col("client").cast(pl.UInt32),
            pl.when("is_served").then(pl.col("server").cast(pl.UInt32)),
            "is_passed",
        )
        .sort("client")  # what is near is looked up faster
    )


def _place() -> pl.Expr:
    """Of the records of a call in order: the client's, the server's, those in between."""
    reporter = pl.col("reporter").cast(pl.String)
    return pl.coalesce(
        pl.when(reporter == name).then(pl.lit(_PLACE[role], pl.UInt64))
        for name, role in ROLES.items()
    )


_CLIENT_TOLD: Final = {
    **{
        name: name
        for name in (
            *("start_time", "protocol", "service", "status", "grpc_status", "upstream_failure"),
            *("bytes_received", "bytes_sent", "attempts", "request_id", "response_flags"),
            *("authz", "policy", "duration_ms", "src_endpoint_id", "dst_endpoint_id"),
        )
    },
    "cluster": "observer_cluster",
    "network": "observer_network",
    "upstream_local_ip_hi": "client_ip_hi",
    "upstream_local_ip_lo": "client_ip_lo",
    "upstream_remote_ip_hi": "remote_ip_hi",
    "upstream_remote_ip_lo": "remote_ip_lo",
    "upstream_remote_port": "remote_port",
    "upstream_tls": "tls",
}
_SERVER_TOLD: Final = {
    "dst_endpoint_id": "last_endpoint_id",
    "duration_ms": "last_ms",
    "response_flags": "last_flags",
    "policy": "served_policy",
    "authz": "last_authz",
}
_OF_OTHERS: Final = (
    *(name for name in _CLIENT_TOLD if name not in {"cluster", "network"}),
    *("vantage_id", "reporter", "is_health_check", "log_type", "method", "authority", "path"),
    *("downstream_tls", "upstream_peer_identity", "downstream_peer_identity"),
)


def client_side(requests: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """
    What both sides told of calls, for `views.topology.paired_sql`.

    Parameters
    ----------
    requests, calls
        As of `calls_by_id`; ``network`` and ``cluster`` of the vantage besides.

    Returns
    -------
    DataFrame
        One row a call, columns of ``client_side``; but no method and path, which no rollup has.
        ``host``: what was asked for, if the service has no name.
    """
    own, served = (
        requests.select(
            *(pl.col(name).gather(calls[end]).alias(told) for name, told in names.items()),
            pl.col(identity).gather(calls[end]).is_not_null().alias(identified),
        )
        for end, names, identity, identified in (
            ("client", _CLIENT_TOLD, "upstream_peer_identity", "identified"),
            ("server", _SERVER_TOLD, "downstream_peer_identity", "served_identified"),
        )
    )
    host = pl.col("authority").gather(calls["client"]).str.split(":").list.first()
    asked = requests.select(host=pl.when(own["service"].is_null()).then(host))
    times = calls.select(times=pl.when(pl.col("server").is_not_null()).then(pl.lit(1, pl.Int64)))
    return pl.concat([own, served, asked, times], how="horizontal")


def others(requests: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """Clients' and servers' records of none of these calls: what `paired_sql` reads of them."""
    is_other = np.ones(requests.height, np.bool_)
    is_other[calls["client"]] = is_other[calls["server"].drop_nulls()] = False
    ends = [name for name, role in ROLES.items() if role != GATEWAY]
    is_end = pl.col("reporter").cast(pl.String).is_in(ends)
    return requests.lazy().filter(pl.lit(pl.Series(is_other)) & is_end).select(_OF_OTHERS).collect()
