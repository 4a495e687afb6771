"""
Nodes, and what is set for all objects: the mesh's name of the network, and its domain.

    spec.providerID   aws:///eu-west-1a/i-0abc   gce://project/zone/name   kind://docker/...
    InternalIP → the agent's network             ExternalIP → `INTERNET`, if it is public

Before: pods.py. After: gateways.py.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from sys import intern
from typing import Final

import msgspec

from pipeline.inventory.sources import Claim, ClusterClaim, EndpointClaim, PrefixClaim
from pipeline.inventory.sources.kubernetes.addresses import address, cidr, place
from pipeline.inventory.sources.kubernetes.board import MESH, NETWORK, Here, Kept, Topic, Value

_PROVIDERS: Final = {"gce": "gcp"}
"""Schemes of provider ids that are not what `schema.CLUSTERS` calls the provider."""
_ROOT: Final = "istio-system"
"""Namespace of a mesh's control plane, whose settings are the mesh's."""


class _Labels(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "zone": "topology.kubernetes.io/zone",
        "region": "topology.kubernetes.io/region",
        "old_zone": "failure-domain.beta.kubernetes.io/zone",
        "old_region": "failure-domain.beta.kubernetes.io/region",
    },
):
    zone: str | None = None
    region: str | None = None
    old_zone: str | None = None
    old_region: str | None = None


class _Meta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    creation_timestamp: str | None = None
    labels: _Labels | None = None


class _Address(msgspec.Struct, frozen=True, gc=False):
    type: str
    address: str


class _Spec(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"provider_id": "providerID", "pod_cidr": "podCIDR", "pod_cidrs": "podCIDRs"},
):
    provider_id: str | None = None
    pod_cidr: str | None = None
    pod_cidrs: tuple[str, ...] | None = None


class _Status(msgspec.Struct, frozen=True, gc=False):
    addresses: tuple[_Address, ...] | None = None


class _Node(msgspec.Struct, frozen=True, gc=False):
    metadata: _Meta
    spec: _Spec | None = None
    status: _Status | None = None


class Node(Kept, frozen=True, gc=False):
    """What is kept of a node."""

    name: str
    created: str
    provider: str | None
    region: str | None
    zone: str | None
    internal: tuple[str, ...]
    external: tuple[str, ...]
    cidrs: tuple[str, ...]

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """Its zone to its pods; of two of one name, the one created later counts."""
        return {(("node", self.name), (self.created, self.zone or ""))}

    def claims(self, here: Here) -> list[Claim]:
        """Its addresses, the range of its pods, and what its cluster is by it."""
        places = dict.fromkeys((place(ip, here.network), ip) for ip in self.external)
        places |= dict.fromkeys((here.network, ip) for ip in self.internal)
        claims: list[Claim] = [
            EndpointClaim(
                network,
                ip,
                "node",
                here.cluster,
                node=self.name,
                zone=self.zone,
                provider=self.provider,
                region=self.region,
            )
            for network, ip in places
        ]
        claims += [_pods(here, one, self.name, self) for one in self.cidrs]
        zones = (self.zone,) if self.zone else ()
        claims.append(ClusterClaim(here.cluster, self.provider, self.region, zones))
        return claims


def _pods(here: Here, text: str, name: str, node: Node | None) -> PrefixClaim:
    """The range a node's pods have their addresses of."""
    provider, region, zone = (node.provider, node.region, node.zone) if node else (None,) * 3
    return PrefixClaim(here.network, text, "pod", here.cluster, name, provider, region, zone)


_decode_node = msgspec.json.Decoder(_Node).decode


def read_node(text: bytes) -> Kept:
    """Keep a node."""
    node = _decode_node(text)
    labels, spec = node.metadata.labels or _Labels(), node.spec or _Spec()
    told = node.status.addresses or () if node.status else ()
    ranges = spec.pod_cidrs or ((spec.pod_cidr,) if spec.pod_cidr else ())
    return Node(
        node.metadata.name,
        node.metadata.creation_timestamp or "",
        _provider(spec.provider_id or ""),
        labels.region or labels.old_region or None,
        intern(labels.zone or labels.old_zone or "") or None,
        tuple(address(one.address) for one in told if one.type == "InternalIP"),
        tuple(address(one.address) for one in told if one.type == "ExternalIP"),
        tuple(cidr(one) for one in ranges),
    )


def _provider(text: str) -> str | None:
    scheme, separator, _ = text.partition("://")
    return _PROVIDERS.get(scheme, scheme) or None if separator else None


# --- Cilium ------------------------------------------------------------------


class _Ipam(msgspec.Struct, frozen=True, gc=False, rename={"pod_cidrs": "podCIDRs"}):
    pod_cidrs: tuple[str, ...] | None = None


class _CiliumAddress(msgspec.Struct, frozen=True, gc=False):
    type: str
    ip: str


class _CiliumSpec(msgspec.Struct, frozen=True, gc=False):
    ipam: _Ipam | None = None
    addresses: tuple[_CiliumAddress, ...] | None = None


class _CiliumNodeObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _Meta
    spec: _CiliumSpec | None = None


class CiliumNode(Kept, frozen=True, gc=False):
    """What Cilium tells of a node besides: ranges of its pods, and the host's address in them."""

    name: str
    internal: tuple[str, ...]
    cidrs: tuple[str, ...]

    def reads(self) -> Sequence[Topic]:
        """The node."""
        return [("node", self.name)]

    def claims(self, here: Here) -> list[Claim]:
        """The host's addresses among pods, and their ranges."""
        nodes = here.board.values(("node", self.name))
        zone = max(nodes)[1] or None if nodes else None
        claims: list[Claim] = [
            EndpointClaim(here.network, ip, "node", here.cluster, node=self.name, zone=zone)
            for ip in self.internal
        ]
        return claims + [_pods(here, one, self.name, None) for one in self.cidrs]


_decode_cilium = msgspec.json.Decoder(_CiliumNodeObject).decode


def read_cilium_node(text: bytes) -> Kept:
    """Keep what Cilium tells of a node."""
    found = _decode_cilium(text)
    spec = found.spec or _CiliumSpec()
    ranges = spec.ipam.pod_cidrs or () if spec.ipam else ()
    told = spec.addresses or ()
    return CiliumNode(
        found.metadata.name,
        tuple(dict.fromkeys(address(one.ip) for one in told if one.type == "CiliumInternalIP")),
        tuple(cidr(one) for one in ranges),
    )


# --- what is set for all -----------------------------------------------------


class _NamespaceLabels(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"network": "topology.istio.io/network", "dataplane_mode": "istio.io/dataplane-mode"},
):
    network: str | None = None
    dataplane_mode: str | None = None


class _NamespaceMeta(msgspec.Struct, frozen=True, gc=False):
    name: str
    labels: _NamespaceLabels | None = None


class _NamespaceObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _NamespaceMeta


class Namespace(Kept, frozen=True, gc=False):
    """Whether the pods of a namespace are in the ambient mesh; the mesh's name of our network."""

    name: str
    ambient: bool
    network: str | None

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """Both, to those it concerns."""
        told: set[tuple[Topic, Value]] = set()
        if self.ambient:
            told.add((("namespace", self.name), ("ambient",)))
        if self.network:
            told.add((NETWORK, (self.network,)))
        return told


_decode_namespace = msgspec.json.Decoder(_NamespaceObject).decode


def read_namespace(text: bytes) -> Kept:
    """Keep what a namespace sets for its pods, or for all."""
    meta = _decode_namespace(text).metadata
    labels = meta.labels or _NamespaceLabels()
    network = labels.network if meta.name == _ROOT else None
    return Namespace(intern(meta.name), labels.dataplane_mode == "ambient", network or None)


class _Mesh(msgspec.Struct, frozen=True, gc=False):
    mesh: str | None = None


class _ConfigMeta(msgspec.Struct, frozen=True, gc=False):
    name: str
    namespace: str


class _ConfigMap(msgspec.Struct, frozen=True, gc=False):
    metadata: _ConfigMeta
    data: _Mesh | None = None


class MeshConfig(Kept, frozen=True, gc=False):
    """Of Istio's configuration: the trust domain, and the mesh's id."""

    trust_domain: str | None
    mesh: str | None

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """The trust domain to what is in the mesh."""
        return {(MESH, (self.trust_domain,))} if self.trust_domain else frozenset()

    def claims(self, here: Here) -> list[Claim]:
        """Of the cluster: which mesh it is in."""
        return [ClusterClaim(here.cluster, mesh=self.mesh, trust_domain=self.trust_domain)]


_decode_config_map = msgspec.json.Decoder(_ConfigMap).decode


def read_config_map(text: bytes) -> Kept:
    """Keep of ConfigMap ``istio`` of the control plane, or of a revision's, what names the mesh."""
    found = _decode_config_map(text)
    meta = found.metadata
    named = meta.name == "istio" or meta.name.startswith("istio-")
    if meta.namespace != _ROOT or not named or not found.data or not found.data.mesh:
        return Kept()
    domain, mesh = (_setting(key, found.data.mesh) for key in ("trustDomain", "meshId"))
    return MeshConfig(domain, mesh) if domain or mesh else Kept()


def _setting(key: str, yaml: str) -> str | None:
    """A plain value of a key of the configuration, which is YAML, one key a line."""
    found = re.search(rf"^ *{key}: *[\"']?([\w.:/-]+)[\"']? *$", yaml, re.MULTILINE)
    return found[1] if found else None
