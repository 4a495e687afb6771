"""
Names and ports that the mesh agrees on, in Istio's fashion.

Before: nothing. After: topology.py, envoy.py.
"""

from __future__ import annotations

NAMESPACE = "shop"
HOST_NAMESPACE = "jobs"
"""Its pods have no sidecars: a proxy per node serves them."""
NODE_NAMESPACE = "kube-system"
"""Where that proxy is."""
TRUST_DOMAIN = "cluster.local"
MESH_ID = "mesh1"
SERVICE_PORT = 8080
GATEWAY_PORT = 15443
GATEWAY_NAMESPACE = "istio-system"
GATEWAY_WORKLOAD = "istio-eastwestgateway"


def spiffe(workload: str, namespace: str = NAMESPACE) -> str:
    """Return the SPIFFE ID of a workload."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{workload}"


def host_name(service: str, namespace: str = NAMESPACE) -> str:
    """Return the service's name in DNS; the same in every cluster."""
    return f"{service}.{namespace}.svc.cluster.local"


def node_id(model: str, address: object, name: str, namespace: str) -> str:
    """Return what a proxy calls itself: how it stands, its address, its pod, its domain."""
    return f"{model}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"


def sni(host: str, subset: str = "") -> str:
    """Return the server name by which gateways choose the service `host`."""
    return f"outbound_.{SERVICE_PORT}_.{subset}_.{host}"
