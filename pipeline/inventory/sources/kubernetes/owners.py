"""
What names pods: their owners, and the Services that point to them.

    Pod → ReplicaSet → Deployment, Rollout      Pod → StatefulSet, DaemonSet...
    Pod → Job → CronJob                         EndpointSlice → Pod, or its address

They claim nothing; they tell, and the pods claim.

Before: board.py. After: pods.py.
"""

from collections.abc import Set as AbstractSet
from sys import intern
from typing import Final

import msgspec

from pipeline.inventory.sources.kubernetes.addresses import address
from pipeline.inventory.sources.kubernetes.board import Kept, Topic, Value, host

RELAYED: Final = ("ReplicaSet", "Job")
"""Kinds of owners that have an owner of their own, under the topic ``owner``."""


class Owner(msgspec.Struct, frozen=True, gc=False):
    """An entry of ``ownerReferences``."""

    kind: str
    name: str
    controller: bool | None = None


class _OwnerMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str
    creation_timestamp: str | None = None
    owner_references: tuple[Owner, ...] | None = None


class _Owned(msgspec.Struct, frozen=True, gc=False):
    metadata: _OwnerMeta


class Relay(Kept, frozen=True, gc=False):
    """An owner of pods that may have an owner itself: whose name their workload is."""

    kind: str
    namespace: str
    name: str
    created: str
    workload: str

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """Its pods' workload; of two of one name, the one created later counts."""
        topic = ("owner", self.kind, self.namespace, self.name)
        return {(topic, (self.created, self.workload))}


_decode_owned = msgspec.json.Decoder(_Owned).decode


def _relay(kind: str, text: bytes) -> Relay:
    meta = _decode_owned(text).metadata
    owners = meta.owner_references or ()
    owner = next((one for one in owners if one.controller), owners[0] if owners else None)
    workload = owner.name if owner else meta.name
    created = meta.creation_timestamp or ""
    return Relay(kind, intern(meta.namespace), meta.name, created, intern(workload))


def read_replica_set(text: bytes) -> Kept:
    """Keep whose a ReplicaSet is."""
    return _relay("ReplicaSet", text)


def read_job(text: bytes) -> Kept:
    """Keep whose a Job is."""
    return _relay("Job", text)


# --- what points to a pod -----------------------------------------------------


class _SliceLabels(
    msgspec.Struct, frozen=True, gc=False, rename={"service": "kubernetes.io/service-name"}
):
    service: str | None = None


class _SliceMeta(msgspec.Struct, frozen=True, gc=False):
    namespace: str
    labels: _SliceLabels | None = None


class _Target(msgspec.Struct, frozen=True, gc=False):
    kind: str | None = None
    name: str | None = None


class _Endpoint(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    addresses: tuple[str, ...] | None = None
    target_ref: _Target | None = None


class _Slice(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    metadata: _SliceMeta
    address_type: str | None = None
    endpoints: tuple[_Endpoint, ...] | None = None


class Pointers(Kept, frozen=True, gc=False):
    """A Service, and the topics of the pods one of its EndpointSlices points to."""

    service: str
    topics: frozenset[Topic]

    def tells(self) -> AbstractSet[tuple[Topic, Value]]:
        """Each pod the Service."""
        value = (self.service,)
        return {(topic, value) for topic in self.topics}


_decode_slice = msgspec.json.Decoder(_Slice).decode


def read_endpoint_slice(text: bytes) -> Kept:
    """Keep which pods of a Service it points to: by name, or where no name is given by address."""
    found = _decode_slice(text)
    meta = found.metadata
    topics: set[Topic] = set()
    for one in found.endpoints or ():
        if one.target_ref is None:
            if found.address_type != "FQDN":
                topics.update(("address", address(ip)) for ip in one.addresses or ())
        elif one.target_ref.kind == "Pod" and one.target_ref.name:
            topics.add(("pod", intern(meta.namespace), one.target_ref.name))
    if not meta.labels or not meta.labels.service or not topics:
        return Kept()
    return Pointers(intern(host(meta.labels.service, meta.namespace)), frozenset(topics))
