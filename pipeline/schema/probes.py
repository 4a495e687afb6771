"""
Probes: tries of agents to reach a place, one row a try.

A try that failed is a row as any other: loss is the share of tries that are
not ok. Durations are by the agent's monotonic clock, each step by itself.

Before: proxies.py. After: entities.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import F64, TEXT, TIME, U16, U64, Column, Table, address, side

PROBE_KIND: Final = pl.Enum(["tcp", "tls", "http"])
OUTCOMES: Final = {
    "ok": "reached, and all as expected",
    "refused": "nobody listens there, or a firewall says so",
    "timeout": "no end in time; `error` says at which step",
    "unreachable": "there is no way to the address",
    "reset": "connected, then cut",
    "name_unknown": "the name has no address, or its server did not say",
    "tls_failed": "no TLS there, nothing in common, or the agent's certificate is refused",
    "certificate_untrusted": "no authority that is trusted signed it, or it is not valid yet",
    "certificate_expired": "it, or one it depends on, is past its end",
    "name_mismatch": "trusted, and of another name or SPIFFE ID",
    "status_unexpected": "an answer with another status",
    "other": "see `error`",
}
"""How a try may end."""
OUTCOME: Final = pl.Enum([*OUTCOMES])

_NAMES: Final = pl.List(pl.String)

_ATTEMPT: Final = (
    Column("target", TEXT, "name of the target"),
    Column("kind", PROBE_KIND, "tcp: a connection; tls: and a handshake; http: and a request"),
    Column("address", TEXT, "host:port as configured, or URL without query"),
    Column("server_name", TEXT, "TLS server name that was sent; null without TLS, and where it is an address: those are not sent"),
    Column("attempt", U16, "which try of its round, from 1"),
    Column("outcome", OUTCOME, "; ".join(f"{name}: {what}" for name, what in OUTCOMES.items())),
    Column("error", TEXT, "why it is not ok, in words; null if it is"),
    *address("peer", "address that was tried", "peer"),
    Column("peer_port", U16, "its port", "peer"),
    Column("resolve_ms", F64, "until the name had an address; null of an address"),
    Column("connect_ms", F64, "from then until connected; null if it was not"),
    Column("tls_ms", F64, "from then until the handshake was done; null if it was not"),
    Column("first_byte_ms", F64, "from the request, or what is to be echoed, to the first byte"),
    Column("total_ms", F64, "all of it, until it ended or failed"),
    Column("status", U16, "HTTP status"),
    Column("tls_version", TEXT, "TLSv1.2, TLSv1.3"),
    Column("certificate_sha256", TEXT, "fingerprint of the server's certificate, also of one that is not trusted"),
    Column("certificate_subject", TEXT, "its subject, as RFC 4514 writes names"),
    Column("certificate_issuer", TEXT, "who signed it"),
    Column("certificate_serial", TEXT, "its serial number, hexadecimal"),
    Column("certificate_identities", _NAMES, "URIs it is for: SPIFFE IDs"),
    Column("certificate_names", _NAMES, "DNS names and addresses it is for"),
    Column("certificate_not_before", TIME, "from when it is valid"),
    Column("certificate_not_after", TIME, "until when"),
)  # fmt: skip

DECODED_PROBES: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        "start_ns": pl.Int64(),  # never null: a try without a time is a reject
        **{column.name: column.dtype for column in _ATTEMPT},
    }
)

PROBES: Final = Table(
    "probes",
    "Active probes: one row per try of an agent to reach a target, how it ended and how long each step took.",
    (
        Column("received_time", TIME, "when the agent had the result"),
        Column("start_time", TIME, "when it began", "start_ns"),
        Column("vantage_id", U64, "`vantages` row: the agent, and the target as exporter"),
        *_ATTEMPT,
        *side("peer"),
    ),
)
