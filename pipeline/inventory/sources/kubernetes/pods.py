"""
Pods: a pod has its addresses from its start until it has finished. That it is to be deleted
ends nothing, and with the node's addresses (``hostNetwork``) it has none.

Before: owners.py. After: nodes.py.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.inventory.sources import Claim, EndpointClaim
from pipeline.inventory.sources.kubernetes.addresses import address
from pipeline.inventory.sources.kubernetes.board import (
    MESH,
    NETWORK,
    Here,
    Kept,
    Topic,
    Value,
    host,
)
from pipeline.inventory.sources.kubernetes.owners import RELAYED, Owner

_Time = Annotated[datetime, Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LIVE: Final = ("Pending", "Running", "Unknown")


class _Labels(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "app_name": "app.kubernetes.io/name",
        "template_hash": "pod-template-hash",
        "rollout_hash": "rollouts-pod-template-hash",
        "network": "topology.istio.io/network",
        "canonical_name": "service.istio.io/canonical-name",
        "tls_mode": "security.istio.io/tlsMode",
        "dataplane_mode": "istio.io/dataplane-mode",
    },
):
    app: str | None = None
    app_name: str | None = None
    template_hash: str | None = None
    rollout_hash: str | None = None
    network: str | None = None
    canonical_name: str | None = None
    tls_mode: str | None = None
    dataplane_mode: str | None = None


class _Annotations(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"sidecar": "sidecar.istio.io/status", "redirection": "ambient.istio.io/redirection"},
):
    sidecar: str | None = None
    redirection: str | None = None


class _PodMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str
    labels: _Labels | None = None
    annotations: _Annotations | None = None
    owner_references: tuple[Owner, ...] | None = None


class _PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    node_name: str | None = None
    host_network: bool | None = None
    service_account_name: str | None = None


class _Ip(msgspec.Struct, frozen=True, gc=False):
    ip: str


class _Terminated(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    finished_at: _Time | None = None


class _State(msgspec.Struct, frozen=True, gc=False):
    terminated: _Terminated | None = None


class _Container(msgspec.Struct, frozen=True, gc=False):
    state: _State | None = None


class _PodStatus(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "pod_ip": "podIP",
        "pod_ips": "podIPs",
        "start_time": "startTime",
        "containers": "containerStatuses",
        "init_containers": "initContainerStatuses",
    },
):
    phase: str | None = None
    pod_ip: str | None = None
    pod_ips: tuple[_Ip, ...] | None = None
    start_time: _Time | None = None
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: _PodMeta
    spec: _PodSpec | None = None
    status: _PodStatus | None = None


class Pod(Kept, frozen=True, gc=False):
    """
    What is kept of a pod that has addresses, or had.

    Attributes
    ----------
    stem
        Workload, should the object that owns it not be known.
    meshed
        Whether it is in a mesh of SPIFFE identities; None: if its namespace is.
    """

    namespace: str
    name: str
    ips: tuple[str, ...]
    node: str | None
    account: str | None
    owner_kind: str
    owner_name: str
    stem: str
    app: str | None
    network: str | None
    meshed: bool | None
    since_us: int | None
    until_us: int | None

    def reads(self) -> Sequence[Topic]:
        """Its node, owner and namespace, and what points to it."""
        topics: list[Topic] = [("pod", self.namespace, self.name)]
        topics += [("address", ip) for ip in self.ips]
        if self.node:
            topics.append(("node", self.node))
        if self.owner_kind in RELAYED:
            topics.append(("owner", self.owner_kind, self.namespace, self.owner_name))
        if self.network:
            topics.append(NETWORK)
        if self.meshed is None:
            topics.append(("namespace", self.namespace))
        if self.meshed is not False:
            topics.append(MESH)
        return topics

    def claims(self, here: Here) -> list[Claim]:
        """One endpoint an address."""
        values = here.board.values
        workload, zone, identity = self.stem, None, None
        if self.owner_kind in RELAYED:
            owners = values(("owner", self.owner_kind, self.namespace, self.owner_name))
            if owners:
                workload = max(owners)[1]
        if self.node and (nodes := values(("node", self.node))):
            zone = max(nodes)[1] or None
        meshed = self.meshed
        if meshed is None:
            meshed = bool(values(("namespace", self.namespace)))
        if meshed:
            identity = here.identity(self.namespace, self.account)
        network = here.network_of(self.network) if self.network else here.network
        pointing = values(("pod", self.namespace, self.name))
        return [
            EndpointClaim(
                network,
                ip,
                "pod",
                here.cluster,
                self.namespace,
                workload,
                self._service({*pointing, *values(("address", ip))}, workload),
                self.name,
                self.node,
                zone,
                identity,
                since_us=self.since_us,
                until_us=self.until_us,
            )
            for ip in self.ips
        ]

    def _service(self, hosts: set[Value], workload: str) -> str | None:
        """Of the Services that point to it, the one called like the workload or the app."""
        if len(hosts) > 1:
            for name in (workload, self.app):
                if name and (named := host(name, self.namespace),) in hosts:
                    return named
        return min(hosts)[0] if hosts else None


_decode_pod = msgspec.json.Decoder(_Pod).decode


def read_pod(text: bytes) -> Kept:
    """Keep a pod."""
    pod = _decode_pod(text)
    meta, spec, status = pod.metadata, pod.spec, pod.status
    if status is None or (spec is not None and spec.host_network):
        return Kept()
    texts = [one.ip for one in status.pod_ips or ()] or ([status.pod_ip] if status.pod_ip else [])
    ips = tuple(dict.fromkeys([address(one) for one in texts if one]))
    until_us = None if status.phase in _LIVE else _finished_us(status)
    if not ips or (until_us is None and status.phase not in _LIVE):
        return Kept()
    labels = meta.labels or _Labels()
    kind, owner = _owner(meta)
    return Pod(
        intern(meta.namespace),
        meta.name,
        ips,
        intern(spec.node_name) if spec and spec.node_name else None,
        intern(spec.service_account_name) if spec and spec.service_account_name else None,
        intern(kind),
        intern(owner),
        _stem(meta, labels, kind, owner),
        intern(labels.app or labels.app_name or ""),
        intern(labels.network) if labels.network else None,
        _meshed(labels, meta.annotations or _Annotations()),
        _us(status.start_time) if status.start_time else None,
        until_us,
    )


def _us(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _finished_us(status: _PodStatus) -> int | None:
    """When the last container of a pod that has finished ended, if that is told."""
    ends = [
        one.state.terminated.finished_at
        for one in (*(status.init_containers or ()), *(status.containers or ()))
        if one.state and one.state.terminated and one.state.terminated.finished_at
    ]
    return _us(max(ends)) if ends else None


def _owner(meta: _PodMeta) -> tuple[str, str]:
    """Kind and name of the controller; of a pod nobody controls, or a node does, its own."""
    owners = meta.owner_references or ()
    for one in (*(one for one in owners if one.controller), *owners[:1]):
        if one.kind != "Node":
            return one.kind, one.name
    return "Pod", meta.name


def _stem(meta: _PodMeta, labels: _Labels, kind: str, owner: str) -> str:
    """``web`` of ReplicaSet ``web-5d9f`` if the pod's template is ``5d9f``; else the owner."""
    if kind == "ReplicaSet":
        for part in (labels.template_hash, labels.rollout_hash):
            if part and owner.endswith(f"-{part}") and len(owner) > len(part) + 1:
                return intern(owner.removesuffix(f"-{part}"))
    return intern(owner) if kind != "Pod" else meta.name


def _meshed(labels: _Labels, annotations: _Annotations) -> bool | None:
    if (
        labels.tls_mode == "istio"
        or labels.canonical_name
        or labels.dataplane_mode == "ambient"
        or annotations.sidecar
        or annotations.redirection == "enabled"
    ):
        return True
    return None if labels.dataplane_mode is None else False
