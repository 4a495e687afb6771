"""
Envoy's configuration, named as Istio names things.

    sidecar    :15001 outbound HTTP by host name -> outbound|8080||NAME, mTLS
               :15006 inbound, mTLS required -> inbound|8080||, from 127.0.0.6
    gateway    :15443 TLS passed through; the server name is the cluster's name

Every listener logs each request (gateways: each connection), by access_log.py.

Before: access_log.py, certs.py. After: mesh.py writes it to a file and starts Envoy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .access_log import file_log
from .names import GATEWAY_PORT, MESH_ID, NAMESPACE, SERVICE_PORT, host_name, sni, spiffe
from .netns import INBOUND_PORT, OUTBOUND_PORT
from .topology import DENIALS, EDGES, SERVICES, Cluster, Gateway, Pod, gateway_of, home_of

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path

    from .access_log import Direction
    from .certs import Leaf

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_HTTP_FILTERS = _TYPE + "extensions.filters.http."
_NETWORK_FILTERS = _TYPE + "extensions.filters.network."
_LISTENER_FILTERS = _TYPE + "extensions.filters.listener."
_ANY = "0.0.0.0"
_MAX_AGE = "25s"
_IDLE = "10s"


def sidecar(cluster: Cluster, pod: Pod, leaf: Leaf, log: Path, admin: Path) -> Json:
    """Return the configuration of a pod's sidecar."""
    listeners = [_outbound_listener(log), _inbound_listener(pod, leaf, log)]
    clusters = [_outbound_cluster(cluster, pod, service, leaf) for service in SERVICES]
    return _bootstrap(
        _node(cluster, "sidecar", pod.ip, pod.name, pod.workload),
        admin,
        listeners,
        [*clusters, _inbound_cluster(pod)],
    )


def gateway(cluster: Cluster, own: Gateway, log: Path, admin: Path) -> Json:
    """Return the configuration of an east-west gateway."""
    listener = {
        "name": f"0.0.0.0_{GATEWAY_PORT}",
        "address": _address(_ANY, GATEWAY_PORT),
        "listener_filters": [_typed("tls_inspector", _LISTENER_FILTERS, "TlsInspector")],
        "filter_chains": [
            {
                "filters": [
                    _typed("sni_cluster", _NETWORK_FILTERS, "SniCluster"),
                    _typed(
                        "tcp_proxy",
                        _NETWORK_FILTERS,
                        "TcpProxy",
                        stat_prefix="gateway",
                        cluster="BlackHoleCluster",
                        access_log=[file_log(log, "gateway")],
                    ),
                ],
            },
        ],
    }
    clusters: list[Json] = [
        _cluster(sni(service), pod.ip, SERVICE_PORT)
        for service, (home, pod) in ((name, home_of(name)) for name in SERVICES)
        if home.network == cluster.network
    ]
    return _bootstrap(
        _node(cluster, "router", own.ip, own.name, own.name),
        admin,
        [listener],
        clusters,
    )


def _outbound_listener(log: Path) -> Json:
    hosts = [
        {
            "name": f"{host_name(service)}:{SERVICE_PORT}",
            "domains": [host_name(service), f"{host_name(service)}:{SERVICE_PORT}"],
            "routes": [_route(f"outbound|{SERVICE_PORT}||{host_name(service)}")],
        }
        for service in SERVICES
    ]
    return {
        "name": "virtualOutbound",
        "address": _address(_ANY, OUTBOUND_PORT),
        "listener_filters": [_typed("original_dst", _LISTENER_FILTERS, "OriginalDst")],
        "filter_chains": [{"filters": [_http(log, "outbound", hosts, [])]}],
    }


def _inbound_listener(pod: Pod, leaf: Leaf, log: Path) -> Json:
    hosts = [
        {
            "name": f"inbound|http|{SERVICE_PORT}",
            "domains": ["*"],
            "routes": [_route(f"inbound|{SERVICE_PORT}||")],
        },
    ]
    tls = _typed(
        "tls",
        _TYPE + "extensions.transport_sockets.tls.v3.",
        "DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context=_tls_context(leaf, None),
    )
    return {
        "name": "virtualInbound",
        "address": _address(_ANY, INBOUND_PORT),
        "listener_filters": [
            _typed("original_dst", _LISTENER_FILTERS, "OriginalDst"),
            _typed("tls_inspector", _LISTENER_FILTERS, "TlsInspector"),
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"transport_protocol": "tls"},
                "transport_socket": tls,
                "filters": [_http(log, "inbound", hosts, _denials(pod.workload))],
            },
        ],
    }


def _denials(service: str) -> list[Json]:
    """Return the RBAC filter of a service that has policies."""
    policies = {
        denial.policy: {
            "permissions": [
                {"header": {"name": ":method", "string_match": {"exact": denial.method}}},
            ],
            "principals": [
                {"authenticated": {"principal_name": {"exact": spiffe(denial.client)}}},
            ],
        }
        for denial in DENIALS
        if denial.service == service
    }
    rules = {"action": "DENY", "policies": policies}
    return [_typed("rbac", _HTTP_FILTERS, "RBAC", rules=rules)] if policies else []


def _http(log: Path, direction: Direction, hosts: list[Json], filters: list[Json]) -> Json:
    return _typed(
        "http_connection_manager",
        _NETWORK_FILTERS,
        "HttpConnectionManager",
        stat_prefix=direction,
        use_remote_address=False,
        skip_xff_append=True,
        access_log=[file_log(log, direction)],
        route_config={"name": str(SERVICE_PORT), "virtual_hosts": hosts},
        http_filters=[*filters, _typed("router", _HTTP_FILTERS, "Router")],
    )


def _route(cluster: str) -> Json:
    return {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": cluster, "timeout": "15s"},
    }


def _outbound_cluster(cluster: Cluster, client: Pod, service: str, leaf: Leaf) -> Json:
    """Return the cluster of a service: its pod, or the gateway of its network."""
    home, pod = home_of(service)
    direct = home.network == cluster.network
    address = pod.ip if direct else gateway_of(home.network).vip
    made = _cluster(
        f"outbound|{SERVICE_PORT}||{host_name(service)}",
        address,
        SERVICE_PORT if direct else GATEWAY_PORT,
    )
    limit = next(
        (
            edge.requests_per_connection
            for edge in EDGES
            if (edge.client, edge.service) == (client.workload, service)
        ),
        0,
    )
    made["typed_extension_protocol_options"] = _http_options(limit)
    made["transport_socket"] = _typed(
        "tls",
        _TYPE + "extensions.transport_sockets.tls.v3.",
        "UpstreamTlsContext",
        sni=sni(service),
        common_tls_context=_tls_context(leaf, pod.identity),
    )
    return made


def _inbound_cluster(pod: Pod) -> Json:
    made = _cluster(f"inbound|{SERVICE_PORT}||", pod.ip, SERVICE_PORT)
    made["upstream_bind_config"] = {"source_address": {"address": "127.0.0.6", "port_value": 0}}
    made["typed_extension_protocol_options"] = _http_options(0)
    return made


def _cluster(name: str, address: IPv4Address, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(str(address), port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _http_options(requests_per_connection: int) -> Json:
    common: Json = {"idle_timeout": _IDLE, "max_connection_duration": _MAX_AGE}
    if requests_per_connection:
        common["max_requests_per_connection"] = requests_per_connection
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        key: {
            "@type": "type.googleapis.com/" + key,
            "common_http_protocol_options": common,
            "explicit_http_config": {"http_protocol_options": {}},
        },
    }


def _tls_context(leaf: Leaf, peer: str | None) -> Json:
    validation: Json = {"trusted_ca": {"filename": str(leaf.root)}}
    if peer is not None:
        validation["match_typed_subject_alt_names"] = [
            {"san_type": "URI", "matcher": {"exact": peer}},
        ]
    return {
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "alpn_protocols": ["http/1.1"],
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(leaf.chain)},
                "private_key": {"filename": str(leaf.key)},
            },
        ],
        "validation_context": validation,
    }


def _node(cluster: Cluster, kind: str, ip: IPv4Address, pod: str, workload: str) -> Json:
    metadata = {
        "CLUSTER_ID": cluster.name,
        "NETWORK": cluster.network.name,
        "MESH_ID": MESH_ID,
        "NAMESPACE": NAMESPACE,
        "WORKLOAD_NAME": workload,
    }
    return {
        "id": f"{kind}~{ip}~{pod}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local",
        "cluster": f"{workload}.{NAMESPACE}",
        "metadata": metadata,
    }


def _bootstrap(node: Json, admin: Path, listeners: list[Json], clusters: list[Json]) -> Json:
    return {
        "node": node,
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _typed(name: str, package: str, message: str, **fields: Any) -> Json:
    """Return an extension's `name` and `typed_config`; v3 of its own package."""
    full = package if ".v3." in package else f"{package}{name}.v3."
    return {
        "name": f"envoy.{name}",
        "typed_config": {"@type": f"{full}{message}", **fields},
    }
