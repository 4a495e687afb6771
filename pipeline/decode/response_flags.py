"""
Envoy's response flags: what each means, and whom it points at.

A proxy says with a flag why it, and not the application, answered or cut. Text
and JSON logs have the short form, ALS a message of booleans; rows always have
the short form.

A flag points at a side as the proxy that wrote it sees it: ``server`` at a
gateway is whatever is behind the gateway. Which hop of a path is to blame
follows from all its legs together (`v_blame`).

Before: access_log. After: views/ (``v_response_flags``).
Source: Envoy access log documentation, RESPONSE_FLAGS; accesslog.proto, ResponseFlags.
"""

from typing import Final, NamedTuple


class Flag(NamedTuple):
    """One response flag; ``field`` is its number in the proto message, 0 if it has none."""

    short: str
    name: str
    field: int
    blame: str
    meaning: str


BLAMES: Final = {
    "client": "who called broke off, or sent what no proxy takes",
    "network": "the connection to the next hop could not be made, for whatever reason",
    "server": "the next hop was there and did not do its work in time, or at all",
    "proxy": "this proxy had no means left",
    "configuration": "the proxy was told nothing, or nonsense, about this call",
    "policy": "somebody forbids it",
    "limit": "a limit somebody set was reached",
    "injected": "a fault injected on purpose",
    "none": "nobody: no fault",
}

FLAGS: Final = (
    Flag(
        "LH",
        "failed_local_healthcheck",
        1,
        "server",
        "the service behind this proxy fails its own health check",
    ),
    Flag(
        "UH",
        "no_healthy_upstream",
        2,
        "server",
        "no healthy endpoint is left: all failed their checks or were ejected, or none is known",
    ),
    Flag("UT", "upstream_request_timeout", 3, "server", "no response within the route's timeout"),
    Flag("LR", "local_reset", 4, "proxy", "this proxy reset the connection"),
    Flag("UR", "upstream_remote_reset", 5, "server", "the next hop reset the request"),
    Flag(
        "UF",
        "upstream_connection_failure",
        6,
        "network",
        "no connection to the next hop: refused, unreachable, timed out, or TLS failed; upstream_failure says which",
    ),
    Flag(
        "UC",
        "upstream_connection_termination",
        7,
        "server",
        "the next hop closed the connection before it had answered",
    ),
    Flag(
        "UO",
        "upstream_overflow",
        8,
        "limit",
        "a circuit breaker is open: too many connections, requests or retries at once",
    ),
    Flag("NR", "no_route_found", 9, "configuration", "no route, or no filter chain, for this call"),
    Flag("DI", "delay_injected", 10, "injected", "delayed by a fault filter"),
    Flag("FI", "fault_injected", 11, "injected", "aborted by a fault filter"),
    Flag("RL", "rate_limited", 12, "limit", "over a rate limit"),
    Flag(
        "UAEX", "unauthorized_details", 13, "policy", "an external authorization service denied it"
    ),
    Flag(
        "RLSE",
        "rate_limit_service_error",
        14,
        "configuration",
        "the rate limit service could not be asked",
    ),
    Flag(
        "DC",
        "downstream_connection_termination",
        15,
        "client",
        "the client closed the connection before the response was over",
    ),
    Flag(
        "URX",
        "upstream_retry_limit_exceeded",
        16,
        "server",
        "given up after the last retry; the flags beside it say why each failed",
    ),
    Flag(
        "SI",
        "stream_idle_timeout",
        17,
        "limit",
        "nothing was sent for as long as a stream may be idle",
    ),
    Flag(
        "IH",
        "invalid_envoy_request_headers",
        18,
        "client",
        "a header has a value that this proxy was told to refuse",
    ),
    Flag(
        "DPE", "downstream_protocol_error", 19, "client", "what the client sent is not the protocol"
    ),
    Flag(
        "UMSDR",
        "upstream_max_stream_duration_reached",
        20,
        "limit",
        "longer than a request may take",
    ),
    Flag("RFCF", "response_from_cache_filter", 21, "none", "answered from this proxy's cache"),
    Flag(
        "NFCF",
        "no_filter_config_found",
        22,
        "configuration",
        "a filter's configuration had not come within its time",
    ),
    Flag("DT", "duration_timeout", 23, "limit", "longer than a request or connection may take"),
    Flag(
        "UPE", "upstream_protocol_error", 24, "server", "what the next hop sent is not the protocol"
    ),
    Flag(
        "NC",
        "no_cluster_found",
        25,
        "configuration",
        "the route names a cluster that this proxy does not know",
    ),
    Flag("OM", "overload_manager", 26, "proxy", "this proxy is overloaded and sheds work"),
    Flag(
        "DF", "dns_resolution_failure", 27, "network", "the next hop's name could not be resolved"
    ),
    Flag("DR", "downstream_remote_reset", 28, "client", "the client reset the request"),
    Flag(
        "DO",
        "drop_overload",
        0,
        "limit",
        "dropped on the control plane's order, for the upstream is overloaded",
    ),
    Flag(
        "UDO",
        "unconditional_drop_overload",
        0,
        "limit",
        "dropped on the control plane's order, unconditionally",
    ),
    # Not Envoy's but ztunnel's, by the names of its own code.
    Flag("AuthorizationPolicyDenied", "ztunnel_policy", 0, "policy", "a policy refuses the client"),
    Flag(
        "ConnectionFailure",
        "ztunnel_connection",
        0,
        "network",
        "no connection to the next hop: refused, unreachable or timed out",
    ),
    Flag(
        "TlsFailure",
        "ztunnel_tls",
        0,
        "network",
        "the tunnel's TLS failed; termination_details says how",
    ),
    Flag(
        "Http2HandshakeFailure",
        "ztunnel_http2",
        0,
        "network",
        "the next hop took the connection, and speaks no HTTP/2",
    ),
    Flag(
        "NetworkPolicyError",
        "ztunnel_network_policy",
        0,
        "policy",
        "nothing answers on port 15008: a network policy may block the tunnel",
    ),
    Flag(
        "IdentityError",
        "ztunnel_identity",
        0,
        "configuration",
        "this proxy has no certificate for its workload",
    ),
)
"""Every flag known; a new one of a newer Envoy is kept in rows as it is written."""
