"""
What an API server tells: who has which address, and how clusters reach each other.

    addresses   addresses and ranges, and which are public
    board       what objects tell each other
    owners      what names pods: replicasets, jobs, endpointslices
    pods        pods
    nodes       nodes, ciliumnodes; what is set for all: namespaces, configmaps
    gateways    ways into other networks: gateways, links, zoneingresses
    services    services, serviceimports, serviceentries, workloadentries

An object is Kubernetes' JSON, or as much of it as a collector keeps; fields
nobody reads here are ignored, fields of another type refuse the object. What is
kept of it is small: a pod is its names, its addresses and two times.

Source: Kubernetes API v1.34; Istio 1.27, labels and annotations; Gateway API
v1.3; Cilium v2 CiliumNode; Linkerd multicluster Link; Kuma ZoneIngress.
Before: decode.py. After: registry.py.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pipeline.inventory.sources import Claim, Key, ObjectError
from pipeline.inventory.sources.kubernetes import gateways, nodes, owners, pods, services
from pipeline.inventory.sources.kubernetes.board import Here, Kept

RESOURCES: Final[dict[str, Callable[[bytes], Kept]]] = {
    "pods": pods.read_pod,
    "replicasets": owners.read_replica_set,
    "jobs": owners.read_job,
    "endpointslices": owners.read_endpoint_slice,
    "nodes": nodes.read_node,
    "ciliumnodes": nodes.read_cilium_node,
    "namespaces": nodes.read_namespace,
    "configmaps": nodes.read_config_map,
    "services": services.read_service,
    "serviceimports": services.read_service_import,
    "serviceentries": services.read_service_entry,
    "workloadentries": services.read_workload_entry,
    "gateways.gateway.networking.k8s.io": gateways.read_gateway,
    "links": gateways.read_link,
    "zoneingresses": gateways.read_zone_ingress,
}
"""Resource to what is kept of its objects; those of others claim nothing."""


class Kubernetes:
    """
    The objects of one API server: a `pipeline.inventory.sources.World`.

    Parameters
    ----------
    cluster, network
        Of the agent that watches it.
    """

    def __init__(self, cluster: str, network: str) -> None:
        self._here = Here(cluster, network)
        self._objects: dict[Key, Kept] = {}

    def put(self, key: Key, text: bytes) -> Iterable[Key]:
        """Take an object as it is now; returns whose claims may have changed."""
        read = RESOURCES.get(key.resource)
        if read is None:
            return (key,)
        try:
            new = read(text)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise ObjectError(str(error)) from error
        old = self._objects.get(key)
        if old == new:
            return (key,)
        self._objects[key] = new
        return self._here.board.replace(key, old, new)

    def remove(self, key: Key) -> Iterable[Key]:
        """Forget an object; returns what may have changed."""
        old = self._objects.pop(key, None)
        return () if old is None else self._here.board.replace(key, old, None)

    def claims(self, key: Key) -> Iterable[Claim]:
        """What an object claims now; nothing if it is not there."""
        kept = self._objects.get(key)
        return [] if kept is None else kept.claims(self._here)
