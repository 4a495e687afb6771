"""
Objects of API servers to claims, one core: 20 clusters of 5,000 pods.

Beside a loop that reads each object into a dict with Python's own `json`, and
makes nothing of it.
"""

import json
import resource
from collections.abc import Iterator

from bench.measure import alternate, report
from pipeline.inventory.sources import Key
from pipeline.inventory.sources.kubernetes import Kubernetes

_CLUSTERS = 20
_PODS = 5_000
_NODES = 100
_REPLICAS = 5


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def pod(number: int, generation: int) -> tuple[Key, bytes]:
    """A pod of a Deployment in the mesh, as an API server has it, less what nobody reads."""
    group = number // _REPLICAS
    name = f"web-{group}-5d9f8c7b6-{number:05}-{generation}"
    uid = f"{generation:08}-0000-4000-8000-{number:012}"
    labels = {
        "app": f"web-{group}",
        "pod-template-hash": "5d9f8c7b6",
        "security.istio.io/tlsMode": "istio",
        "service.istio.io/canonical-name": f"web-{group}",
        "topology.istio.io/network": "network-1",
    }
    owner = {"kind": "ReplicaSet", "name": f"web-{group}-5d9f8c7b6", "controller": True}
    ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    metadata = {
        "name": name,
        "namespace": f"team-{group % 40}",
        "uid": uid,
        "resourceVersion": str(number),
        "labels": labels,
        "ownerReferences": [owner],
    }
    spec = {"nodeName": f"node-{number % _NODES}", "serviceAccountName": "web"}
    status = {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}, {"ip": f"fd00::{number:x}"}],
        "startTime": "2026-01-02T03:04:05Z",
        "containerStatuses": [{"state": {"running": {"startedAt": "2026-01-02T03:04:06Z"}}}],
    }
    return Key("", "pods", uid), _text({"metadata": metadata, "spec": spec, "status": status})


def others() -> Iterator[tuple[Key, bytes]]:
    """Nodes, ReplicaSets, and the slices that point to the pods of the first generation."""
    network = {"topology.istio.io/network": "network-1"}
    yield (
        Key("", "namespaces", "root"),
        _text({"metadata": {"name": "istio-system", "labels": network}}),
    )
    for number in range(_NODES):
        zone = {"topology.kubernetes.io/zone": f"eu-west-1{'abc'[number % 3]}"}
        node = {"metadata": {"name": f"node-{number}", "labels": zone}}
        yield Key("", "nodes", f"node-{number}"), _text(node)
    for group in range(_PODS // _REPLICAS):
        name, space = f"web-{group}", f"team-{group % 40}"
        owner = {"kind": "Deployment", "name": name, "controller": True}
        meta = {"name": f"{name}-5d9f8c7b6", "namespace": space, "ownerReferences": [owner]}
        yield Key("", "replicasets", name), _text({"metadata": meta})
        endpoints = [
            {"targetRef": {"kind": "Pod", "name": f"{name}-5d9f8c7b6-{number:05}-0"}}
            for number in range(group * _REPLICAS, (group + 1) * _REPLICAS)
        ]
        meta = {
            "name": name,
            "namespace": space,
            "labels": {"kubernetes.io/service-name": name},
        }
        yield Key("", "endpointslices", name), _text({"metadata": meta, "endpoints": endpoints})


def filled() -> Kubernetes:
    """A cluster with everything but pods."""
    world = Kubernetes("east", "flat")
    for key, text in others():
        world.put(key, text)
    return world


def put(world: Kubernetes, pods: list[tuple[Key, bytes]]) -> None:
    """Each pod, and what it claims."""
    for key, text in pods:
        for changed in world.put(key, text):
            list(world.claims(changed))


def main() -> None:
    """Print rates and memory."""
    pods = [pod(number, 0) for number in range(_PODS)]
    world = filled()

    def replace() -> None:
        put(world, pods)
        for key, _ in pods:
            world.remove(key)

    report(
        f"{_PODS:,} pods of two addresses: put, claimed, removed",
        alternate(
            {
                "Kubernetes": (_PODS, replace),
                "json.loads": (_PODS, lambda: [json.loads(text) for _, text in pods]),
            },
            rounds=3,
        ),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worlds = []
    for _ in range(_CLUSTERS):
        worlds.append(filled())
        for number in range(_PODS):
            worlds[-1].put(*pod(number, 0))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"  {_CLUSTERS} clusters of {_PODS:,} pods: {grown / 1024:,.0f} MB with their keys\n")


if __name__ == "__main__":
    main()
