"""
Envoy's configuration, named as Istio names things.

    sidecar     :15001 outbound HTTP by host name -> outbound|8080||HOST, mTLS
                :15006 inbound, mTLS required -> inbound|8080||, from 127.0.0.6
    host proxy  the same ports, with one filter chain for each pod of its node:
                outbound by the caller's address, inbound by the called one, so
                that each pod speaks with its own certificate
    gateway     :15443 TLS passed through; the server name is the cluster's name

Every listener logs each request (gateways: each connection), by telemetry.py,
and what it refused. A resilient topology's clients time out after 2 s, and try
again up to twice, as Istio's do by default.

Before: telemetry.py, upstreams.py. After: mesh.py writes it to a file and starts Envoy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import upstreams
from .messages import (
    HTTP_FILTERS,
    LISTENER_FILTERS,
    NETWORK_FILTERS,
    TRANSPORT_SOCKETS,
    Json,
    socket_address,
    tls_context,
    typed,
)
from .names import GATEWAY_PORT, MESH_ID, NAMESPACE, NODE_NAMESPACE, SERVICE_PORT
from .netns import INBOUND_PORT, OUTBOUND_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address
    from pathlib import Path

    from .certs import Leaf
    from .telemetry import Direction, Loggers
    from .topology import Cluster, Gateway, HostProxy, Pod, Topology

_ANY = "0.0.0.0"
_RETRIES = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "retriable_status_codes": [503],
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.050s"},
}
SUBSET_HEADER = "x-subset"
"""Which subset of a service a request asks for, if there are any."""
DELAY = "fault.http.delay.fixed_delay_percent"
ABORT = "fault.http.abort.abort_percent"
"""Runtime keys of the fault filter in front of every application; both are 0."""
_DELAY_SECONDS = "4s"
_ABORT_STATUS = 500

# As Istio sets them: Envoy's own tags cut a cluster's name at its first dot.
_STATS_TAGS = [
    {
        "tag_name": "cluster_name",
        "regex": r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)",
    },
    *(
        {"tag_name": f"envoy.{name}"}
        for name in (
            *("response_code", "response_code_class", "http_conn_manager_prefix"),
            *("listener_address", "tcp_prefix", "tls_certificate", "ssl_version", "ssl_cipher"),
        )
    ),
]


@dataclass(frozen=True)
class Place:
    """Where a proxy stands, and what it may report to."""

    topology: Topology
    cluster: Cluster
    loggers: Loggers
    admin: Path


def sidecar(place: Place, pod: Pod, leaf: Leaf) -> Json:
    """Return the configuration of a pod's sidecar."""
    topology, cluster = place.topology, place.cluster
    outbound = _listener("virtualOutbound", OUTBOUND_PORT, place.loggers, "outbound")
    outbound["filter_chains"] = [{"filters": [_outbound(place, topology.services)]}]
    inbound = _listener("virtualInbound", INBOUND_PORT, place.loggers, "inbound")
    inbound["filter_chains"] = [_inbound_chain(place, pod, leaf, {})]
    clusters = [
        upstreams.outbound(topology, cluster, pod, service, leaf) for service in topology.services
    ]
    clusters += [
        upstreams.outbound(topology, cluster, pod, service, leaf, subset=upstreams.BY_GATEWAY)
        for service in topology.also_by_gateway
    ]
    clusters.append(upstreams.inbound(pod))
    if pod.permissive:
        inbound["filter_chains"].append(_plaintext_chain(place, pod))
        clusters.append(upstreams.passthrough())
    node = _node(cluster, pod.node_id, pod.workload, pod.namespace)
    return _bootstrap(place, node, [outbound, inbound], clusters)


def host_proxy(place: Place, own: HostProxy, leaves: Mapping[str, Leaf]) -> Json:
    """
    Return the configuration of a node's proxy.

    A cluster has one client certificate, so each service is called by one of
    the node's pods at most: what `Topology.edges` says.
    """
    topology, cluster = place.topology, place.cluster
    outbound = _listener("virtualOutbound", OUTBOUND_PORT, place.loggers, "outbound")
    inbound = _listener("virtualInbound", INBOUND_PORT, place.loggers, "inbound")
    outbound["filter_chains"], inbound["filter_chains"] = [], []
    clusters: list[Json] = []
    for pod in cluster.pods_of(own):
        leaf = leaves[pod.workload]
        called = tuple(edge.service for edge in topology.edges if edge.client == pod.workload)
        outbound["filter_chains"].append(
            {
                "filter_chain_match": {"source_prefix_ranges": [_one(pod.ip)]},
                "filters": [_outbound(place, called)],
            },
        )
        inbound["filter_chains"].append(
            _inbound_chain(place, pod, leaf, {"prefix_ranges": [_one(pod.ip)]}),
        )
        clusters += [upstreams.outbound(topology, cluster, pod, name, leaf) for name in called]
        clusters.append(upstreams.inbound(pod))
    node = _node(cluster, own.node_id, "nodeproxy", NODE_NAMESPACE)
    return _bootstrap(place, node, [outbound, inbound], clusters)


def gateway(place: Place, own: Gateway) -> Json:
    """Return the configuration of an east-west gateway."""
    listener = _listener(f"0.0.0.0_{GATEWAY_PORT}", GATEWAY_PORT, place.loggers, "gateway")
    listener["listener_filters"] = [typed("tls_inspector", LISTENER_FILTERS, "TlsInspector")]
    listener["filter_chains"] = [
        {
            "filters": [
                typed("sni_cluster", NETWORK_FILTERS, "SniCluster"),
                typed(
                    "tcp_proxy",
                    NETWORK_FILTERS,
                    "TcpProxy",
                    stat_prefix="gateway",
                    cluster="BlackHoleCluster",
                    access_log=place.loggers.tcp("gateway"),
                ),
            ],
        },
    ]
    topology = place.topology
    routes = [(service, "") for service in topology.services]
    routes += [(service, upstreams.BY_GATEWAY) for service in topology.also_by_gateway]
    homes = [(*topology.home_of(service), subset) for service, subset in routes]
    clusters = [
        upstreams.forwarded(pod, subset)
        for home, pod, subset in homes
        if home.network == place.cluster.network
    ]
    node = _node(place.cluster, own.node_id, own.name, NAMESPACE)
    return _bootstrap(place, node, [listener], clusters)


def _listener(name: str, port: int, loggers: Loggers, direction: Direction) -> Json:
    return {
        "name": name,
        "address": socket_address(_ANY, port),
        "listener_filters": [
            typed("original_dst", LISTENER_FILTERS, "OriginalDst"),
            typed("tls_inspector", LISTENER_FILTERS, "TlsInspector"),
        ],
        "access_log": loggers.refused(direction),
    }


def _outbound(place: Place, services: tuple[str, ...]) -> Json:
    """Return the filter that sends each of these services' host names to its cluster."""
    hosts = []
    for service in services:
        _, pod = place.topology.home_of(service)
        host, resilient = pod.host_name, place.topology.resilient
        routes = [_route(upstreams.outbound_name(host), resilient=resilient)]
        if service in place.topology.also_by_gateway:
            name = upstreams.outbound_name(host, upstreams.BY_GATEWAY)
            routes.insert(0, _asked_for(upstreams.BY_GATEWAY, _route(name, resilient=resilient)))
        virtual_host = {
            "name": f"{host}:{SERVICE_PORT}",
            "domains": [host, f"{host}:{SERVICE_PORT}"],
            "routes": routes,
            "include_request_attempt_count": resilient,
        }
        hosts.append(virtual_host)
    return _http(place, "outbound", hosts, [])


def _inbound_chain(place: Place, pod: Pod, leaf: Leaf, match: Json) -> Json:
    """Return the filter chain that takes a pod's calls, over mTLS only."""
    return {
        "filter_chain_match": {**match, "transport_protocol": "tls"},
        "transport_socket": typed(
            "tls",
            TRANSPORT_SOCKETS,
            "DownstreamTlsContext",
            require_client_certificate=True,
            common_tls_context=tls_context(leaf, None),
        ),
        "filters": [_inbound(place, pod, upstreams.inbound_name(pod))],
    }


def _plaintext_chain(place: Place, pod: Pod) -> Json:
    """Return the filter chain of a permissive sidecar, for what is not TLS."""
    return {
        "filter_chain_match": {"transport_protocol": "raw_buffer"},
        "filters": [_inbound(place, pod, upstreams.PASSTHROUGH)],
    }


def _inbound(place: Place, pod: Pod, cluster: str) -> Json:
    hosts = [
        {
            "name": f"inbound|http|{SERVICE_PORT}",
            "domains": ["*"],
            "routes": [_route(cluster, resilient=False)],
        },
    ]
    filters = _denials(place.topology, pod.workload)
    if place.topology.resilient:
        filters.append(_faults())
    return _http(place, "inbound", hosts, filters)


def _faults() -> Json:
    """Return the filter that can delay and abort requests, but no health checks."""
    percent_of = {"numerator": 0, "denominator": "HUNDRED"}
    health_check = {"prefix": "Envoy/HC"}
    return typed(
        "fault",
        HTTP_FILTERS,
        "HTTPFault",
        delay={"fixed_delay": _DELAY_SECONDS, "percentage": percent_of},
        abort={"http_status": _ABORT_STATUS, "percentage": percent_of},
        headers=[
            {
                "name": "user-agent",
                "string_match": health_check,
                "invert_match": True,
            },
        ],
    )


def _denials(topology: Topology, service: str) -> list[Json]:
    """Return the RBAC filter of a service that has policies."""
    policies = {}
    for denial in topology.denials:
        if denial.service == service:
            _, client = topology.home_of(denial.client)
            name = {"exact": client.identity}
            method = {"header": {"name": ":method", "string_match": {"exact": denial.method}}}
            policies[denial.policy] = {
                "permissions": [method],
                "principals": [{"authenticated": {"principal_name": name}}],
            }
    rules = {"action": "DENY", "policies": policies}
    return [typed("rbac", HTTP_FILTERS, "RBAC", rules=rules)] if policies else []


def _http(place: Place, direction: Direction, hosts: list[Json], filters: list[Json]) -> Json:
    return typed(
        "http_connection_manager",
        NETWORK_FILTERS,
        "HttpConnectionManager",
        stat_prefix=direction,
        use_remote_address=False,
        skip_xff_append=True,
        access_log=place.loggers.http(direction),
        route_config={"name": str(SERVICE_PORT), "virtual_hosts": hosts},
        http_filters=[*filters, typed("router", HTTP_FILTERS, "Router")],
    )


def _route(cluster: str, *, resilient: bool) -> Json:
    action: Json = {"cluster": cluster, "timeout": "15s"}
    if resilient:
        action |= {"timeout": "2s", "retry_policy": _RETRIES}
    return {"name": "default", "match": {"prefix": "/"}, "route": action}


def _asked_for(subset: str, route: Json) -> Json:
    """Return a route for requests that ask for that subset."""
    header = {"name": SUBSET_HEADER, "string_match": {"exact": subset}}
    return {**route, "name": subset, "match": {"prefix": "/", "headers": [header]}}


def _one(address: IPv4Address) -> Json:
    return {"address_prefix": str(address), "prefix_len": 32}


def _node(cluster: Cluster, node_id: str, workload: str, namespace: str) -> Json:
    metadata = {
        "CLUSTER_ID": cluster.name,
        "NETWORK": cluster.network.name,
        "MESH_ID": MESH_ID,
        "NAMESPACE": namespace,
        "WORKLOAD_NAME": workload,
    }
    return {
        "id": node_id,
        "cluster": f"{workload}.{namespace}",
        "metadata": metadata,
    }


def _bootstrap(place: Place, node: Json, listeners: list[Json], clusters: list[Json]) -> Json:
    resources = {"listeners": listeners, "clusters": [*clusters, *place.loggers.clusters()]}
    return {
        "node": node,
        "admin": {"address": {"pipe": {"path": str(place.admin)}}},
        "static_resources": resources,
        "stats_config": {"use_all_default_tags": False, "stats_tags": _STATS_TAGS},
        "layered_runtime": {"layers": [{"name": "switches", "admin_layer": {}}]},
    }
