"""
Whose fault is a call that failed: SQL over one call's flags at both proxies.

A flag speaks of the next hop as one proxy sees it, so the proxy nearest to the
failure is believed first: what the server's proxy logged, else the client's.
Where no server's proxy logged the call, it got lost on the way: at the gateway,
if nothing came through it then; at the server, if other calls did (outages.py).
Where nothing tells, nobody is blamed: *unknown*.

Before: facts.py. After: outages.py, topology.py (``v_calls``).
"""

from typing import Final

from pipeline.decode.response_flags import FLAGS

COLUMNS: Final = {
    "blame": "side at fault when a call failed or was denied: `v_response_flags.blame`, or unknown; null if nothing failed",
    "blamed_entity": "who that is: workload (also of what its proxy did by itself), gateway or policy; null where it is not known",
    "blame_reason": "evidence, in words",
}

_NOT_THERE: Final = ("server", "network")
_OWN: Final = ("injected", "policy", "configuration", "limit", "proxy")


def _has(flags: str, *blames: str) -> str:
    """Whether a list of flags holds one that points at any of these sides."""
    shorts = ", ".join(f"'{flag.short}'" for flag in FLAGS if flag.blame in blames)
    return f"coalesce(list_has_any({flags}, [{shorts}]), false)"


def _did(flags: str, side: str) -> str:
    """
    Whether a proxy did something by itself.

    A limit beside a flag of the next hop only kept the call from being tried again.
    """
    tried = f" AND NOT {_has(flags, *_NOT_THERE)}" if side == "limit" else ""
    return f"({_has(flags, side)}{tried})"


def _own(flags: str) -> str:
    """Sides that a proxy can blame by itself, whatever the others saw."""
    return "\n".join(f"WHEN {_did(flags, side)} THEN '{side}'" for side in _OWN)


def _any_own(flags: str) -> str:
    """Whether a proxy did anything by itself."""
    return f"({' OR '.join(_did(flags, side) for side in _OWN)})"


FAILED: Final = f"""CASE
        WHEN protocol IN ('TCP', 'DNS', 'Kafka') THEN len(response_flags) > 0
        WHEN grpc_status IS NOT NULL THEN grpc_status IN (2, 4, 12, 13, 14, 15)
        ELSE status IS NULL OR status >= 500 OR {_has("response_flags", "configuration")} END"""
"""
Server-side failure; gRPC codes as OpenTelemetry's conventions have them. A
proxy that knows no route answers 404 in the name of a server it never asked.
"""

BLAME: Final = f"""CASE
        WHEN denied THEN 'policy'
        WHEN NOT failed THEN NULL
        WHEN server_seen THEN CASE
            {_own("server_flags")}
            WHEN {_has("server_flags", *_NOT_THERE)} THEN 'server'
            WHEN {_has("server_flags", "client")} AND {_has("client_flags", *_NOT_THERE, "limit")} THEN 'server'
            {_own("client_flags")}
            WHEN {_has("server_flags", "client")} OR {_has("client_flags", "client")} THEN 'client'
            WHEN {_has("client_flags", *_NOT_THERE)} THEN 'network'
            ELSE 'server' END
        WHEN client_flags IS NULL THEN 'unknown'
        ELSE CASE
            {_own("client_flags")}
            WHEN {_has("client_flags", "client")} THEN 'client'
            WHEN upstream_failure ILIKE '%CERTIFICATE_VERIFY_FAILED%' THEN 'server'
            WHEN upstream_failure ILIKE '%ALERT%CERTIFICATE%' OR upstream_failure ILIKE '%UNKNOWN_CA%' THEN 'client'
            WHEN gateway IS NOT NULL AND upstream_failure ILIKE '%refused%' THEN 'network'
            WHEN gateway_unaware THEN 'network'
            WHEN path_gateway IS NULL AND list_contains(client_flags, 'UF') THEN 'network'
            WHEN path_gateway IS NULL AND list_contains(client_flags, 'UH') THEN 'server'
            WHEN gateway_works THEN 'server'
            WHEN gateway_works = false THEN 'network'
            ELSE 'unknown' END
        END"""
"""
A certificate that does not verify is its owner's fault. Over columns ``denied``, ``failed``, ``server_seen``, ``client_flags``, ``server_flags``,
``upstream_failure``, ``gateway``, ``path_gateway`` (the gateway this service is usually
reached through), ``gateway_works`` (whether it worked when this call was lost,
`outages.outages_sql`; null if that is not known) and ``gateway_unaware`` (whether it said
in that minute that it has no way to this service: `UNAWARE`).
"""

_LOST: Final = f"""failed AND NOT server_seen AND client_flags IS NOT NULL
            AND NOT {_any_own("client_flags")} AND NOT {_has("client_flags", "client")}
            AND NOT coalesce(upstream_failure ILIKE '%CERTIFICATE%' OR upstream_failure ILIKE '%UNKNOWN_CA%', false)"""
LOST: Final = f"({_LOST})"
"""It should have come to its server, and did not; its client's proxy does not know why."""
REFUSED: Final = (
    f"({_LOST} AND gateway IS NOT NULL AND coalesce(upstream_failure ILIKE '%refused%', false))"
)
"""
Nobody listens at the gateway's address. That a connection timed out or was reset is no
such word: a gateway that passes TLS through does so for a server it does not reach.
"""
CAME: Final = (
    "(gateway IS NOT NULL AND (server_seen OR NOT failed AND coalesce(status < 500, false)))"
)
"""It came through the gateway: the server's proxy logged it, or the client got an answer."""

BROKE_OFF: Final = f"""NOT {_any_own("client_flags")} AND CASE WHEN server_seen
        THEN NOT {_has("server_flags", *_OWN, *_NOT_THERE)}
            AND NOT ({_has("server_flags", "client")} AND {_has("client_flags", *_NOT_THERE, "limit")})
            AND ({_has("server_flags", "client")} OR {_has("client_flags", "client")})
        ELSE {_has("client_flags", "client")} END"""
"""
The client did not want it any more: no failure of anybody's. What `BLAME` calls the
client's, by a flag: said without it, so that counting errors asks nothing of other calls.
"""

TURNED_AWAY: Final = """(reporter = 'destination' AND protocol = 'TCP'
            AND coalesce(list_contains(response_flags, 'NR'), false))"""
"""
Of a row of ``requests``: the server's proxy has no filter chain for such a connection,
as one that requires mTLS has none for plaintext. It is refused, and no failure.
"""

UNAWARE: Final = """(reporter = 'gateway'
            AND coalesce(list_contains(response_flags, 'NC'), false))"""
"""
Of a row of ``requests``: a gateway that passes TLS through has no cluster for the name that
was asked for. Its own word, on a connection: so it is to blame, whatever else it serves.
"""

BLAMED: Final = f"""CASE
        WHEN blame = 'policy' THEN policy
        WHEN blame = 'server' THEN server_entity
        WHEN blame = 'client' THEN client_entity
        WHEN blame = 'network' THEN path_gateway
        WHEN blame IN ({", ".join(f"'{side}'" for side in _OWN)}) THEN CASE
            WHEN server_seen AND {_any_own("server_flags")} THEN server_entity
            ELSE client_entity END END"""
"""Of what a proxy did by itself, it is the workload whose proxy that is."""

REASON: Final = """CASE WHEN blame IS NULL THEN NULL ELSE concat_ws('; ',
        CASE WHEN blame = 'policy' AND policy IS NULL THEN 'no policy allows it' END,
        CASE WHEN len(server_flags) > 0 THEN 'server''s proxy: ' || array_to_string(server_flags, ',') END,
        CASE WHEN len(client_flags) > 0 THEN 'client''s proxy: ' || array_to_string(client_flags, ',') END,
        upstream_failure,
        CASE WHEN NOT server_seen AND failed THEN 'not logged at the server' END,
        CASE WHEN NOT server_seen AND failed AND NOT gateway_unaware AND gateway_works THEN 'others came through ' || path_gateway END,
        CASE WHEN NOT server_seen AND failed AND gateway_unaware THEN path_gateway || ' has no way to it: NC' END,
        CASE WHEN NOT server_seen AND failed AND gateway_works = false THEN 'nothing came through ' || path_gateway END,
        CASE WHEN server_seen AND status >= 500 AND len(server_flags) = 0 AND len(client_flags) = 0
            THEN 'the application answered ' || status END) END"""
