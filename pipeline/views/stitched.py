"""
Conversations with names, and the records that each is made of.

Before: topology.py. After: rollups.py.
"""

from typing import Final

from pipeline.schema import View

_END: Final = {
    "entity": "`v_endpoints.entity`; null if not known",
    "cluster": "its cluster",
    "namespace": "its namespace",
    "workload": "its workload",
}

STITCHED: Final = View(
    "v_stitched",
    "Which conversations were there, over which hops, how sure is that, and what did the path cost?",
    {
        "edge_id": "`v_legs` rows with it are its records",
        "start_time": "when its client's proxy began; else its server's, its gateway's",
        **{
            f"{end}_{name}": f"{end}: {meaning}"
            for end in ("client", "server")
            for name, meaning in _END.items()
        },
        "client_candidates": "who it may be, where several had the address; else null",
        "server_candidates": "likewise",
        "service": "host name of the service called",
        "protocol": "HTTP/1.1, HTTP/2, TCP...",
        "method": "HTTP method",
        "authority": "host the client asked for",
        "path": "path",
        "request_id": "x-request-id",
        "path_model": "local, flat or gateway; null if not known",
        "hops": "records of it, attempts at one hop once",
        "gateways": "exporters of the gateways that told of it, in order",
        "match_method": "how its ends were joined, the weakest joint: request_id, trace_id, connection, nat, nat_port, sni, identity, none",
        "confidence": "product over its joints; null where nothing joined",
        "status": "HTTP status the client got",
        "grpc_status": "gRPC status code",
        "error": "true if the server side failed, whoever broke off",
        "client_ms": "duration at the client's proxy",
        "server_ms": "duration at the server's proxy",
        "tax_ms": "the difference: network, gateways and proxies; null unless both told",
        "client_bytes": "body octets at the client's proxy, both ways",
        "server_bytes": "body octets at the server's proxy, both ways",
        "bytes_difference": "the client's less the server's",
        "attempts": "times it was sent",
        "client_tls": "TLS version on the way out of the client's proxy",
        "server_tls": "TLS version on the way in at the server's proxy",
    },
    f"""SELECT e.*, {
        ", ".join(
            f"{end}.{name} AS {end}_{name}"
            for end in ("client", "server")
            for name in ("entity", "namespace", "workload")
        )
    }, {
        ", ".join(
            f"e.{end}_bytes_received + e.{end}_bytes_sent AS {end}_bytes"
            for end in ("client", "server")
        )
    }, who.client_candidates, who.server_candidates, through.names AS gateways
    FROM (SELECT * EXCLUDE (gateways), gateways AS gateway_ids FROM edges) e
    LEFT JOIN v_endpoints client ON client.endpoint_id = e.client_endpoint_id
    LEFT JOIN v_endpoints server ON server.endpoint_id = e.server_endpoint_id
    LEFT JOIN (SELECT edge_id,
            list(DISTINCT n.entity ORDER BY n.entity) FILTER (c.side = 'client') AS client_candidates,
            list(DISTINCT n.entity ORDER BY n.entity) FILTER (c.side = 'server') AS server_candidates
        FROM (SELECT edge_id, 'client' AS side, unnest(client_candidate_ids) AS endpoint_id FROM edges
            UNION ALL SELECT edge_id, 'server', unnest(server_candidate_ids) FROM edges) c
        JOIN v_endpoints n USING (endpoint_id) GROUP BY edge_id) who USING (edge_id)
    LEFT JOIN (SELECT ids, list(v.exporter ORDER BY nth) AS names
        FROM (SELECT ids, unnest(ids) AS vantage_id, generate_subscripts(ids, 1) AS nth
            FROM (SELECT DISTINCT gateways AS ids FROM edges WHERE len(gateways) > 0))
        JOIN vantages v USING (vantage_id) GROUP BY ids) through ON through.ids = e.gateway_ids""",
)

LEGS: Final = View(
    "v_legs",
    "What did each proxy of a conversation see?",
    {
        "edge_id": "`v_stitched` row; null where a call is one of several and it is not known which",
        "hop": "0, 1...; attempts share a hop",
        "role": "client, gateway, server",
        "start_time": "when this proxy began, by its own clock",
        "duration_ms": "as this proxy saw it; of a gateway, the whole connection's",
        "exporter": "the proxy",
        "observer_cluster": "its cluster",
        "network": "network its addresses mean something in",
        "src_entity": "who this hop came from, `v_endpoints.entity`",
        "dst_entity": "whom it went to",
        "downstream_remote": "client end of the connection in, address:port",
        "downstream_local": "proxy end of the connection in",
        "upstream_local": "proxy end of the connection out",
        "upstream_remote": "server end of the connection out",
        "downstream_peer_identity": "SPIFFE ID of who called this hop",
        "upstream_peer_identity": "SPIFFE ID of whom it called",
        "downstream_tls": "TLS version of the connection in",
        "upstream_tls": "TLS version of the connection out",
        "bytes_received": "octets from the client side, of all it carried",
        "bytes_sent": "octets to the client side",
        "status": "HTTP status",
        "response_flags": "why the proxy answered or cut",
        "carried": "conversations this record is a leg of",
        "match_method": "how it was tied to the conversation; null for the record that names it",
        "unmatched": "why an end has no other: ambiguous, no_server, no_client, no_ends; null if it has",
    },
    f"""SELECT l.*, v.exporter, v.cluster AS observer_cluster, src.entity AS src_entity,
        dst.entity AS dst_entity, {
        ", ".join(
            f"CASE WHEN contains(ip_text({end}_ip_hi, {end}_ip_lo), ':')"
            f" THEN '[' || ip_text({end}_ip_hi, {end}_ip_lo) || ']'"
            f" ELSE ip_text({end}_ip_hi, {end}_ip_lo) END || ':' || {end}_port AS {end}"
            for end in (
                "downstream_remote",
                "downstream_local",
                "upstream_local",
                "upstream_remote",
            )
        )
    }
    FROM legs l LEFT JOIN vantages v USING (vantage_id)
    LEFT JOIN v_endpoints src ON src.endpoint_id = l.src_endpoint_id
    LEFT JOIN v_endpoints dst ON dst.endpoint_id = l.dst_endpoint_id""",
)
