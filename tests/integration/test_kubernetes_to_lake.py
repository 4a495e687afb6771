"""From a real API server to the lake: who had an address, also while nobody watched."""

from pathlib import Path

import pytest
from apiserver import ApiServer
from running import AGENT, HASTY, up, wait_for

CONFIG = f"""{HASTY}
[[agents]]
name = "watch"
cluster = "east"
network = "net-east"
{AGENT}
[[agents.inputs]]
type = "kubernetes"
server = "{{server.url}}"
ca_file = "{{server.ca_file}}"
token_file = "{{server.admin_token_file}}"
"""
ENDPOINTS = """SELECT ip, kind, cluster, namespace, workload, pod, service, zone, valid_to IS NULL
    FROM v_endpoints WHERE ip = '10.7.0.5' ORDER BY valid_from"""


def make_pod(server: ApiServer, name: str, ip: str) -> None:
    """A pod of a Deployment, with an address as its node would report it."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-7d9", "uid": "rs"}
    body = {
        "metadata": {
            "name": f"{name}-7d9-x",
            "labels": {"app": name, "pod-template-hash": "7d9"},
            "ownerReferences": [owner | {"controller": True}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    }
    server.make("/api/v1/namespaces/kube-to-lake/pods", body)
    status = {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}
    server.patch(f"/api/v1/namespaces/kube-to-lake/pods/{name}-7d9-x/status", status)


@pytest.mark.timeout(200)
def test_an_address_that_changes_hands_while_nobody_watches(tmp_path: Path, apiserver: ApiServer):
    """The pod that is gone when the agent lists again has ended; its successor is somebody else."""
    (tmp_path / "crosspane.toml").write_text(CONFIG.format(server=apiserver))
    apiserver.make("/api/v1/namespaces", {"metadata": {"name": "kube-to-lake"}})
    zone = {"topology.kubernetes.io/zone": "eu-1a"}
    apiserver.make("/api/v1/nodes", {"metadata": {"name": "n1", "labels": zone}})
    make_pod(apiserver, "web", "10.7.0.5")
    port = {"name": "http", "port": 80}
    pods = "/api/v1/namespaces/kube-to-lake/pods"
    slices = "/apis/discovery.k8s.io/v1/namespaces/kube-to-lake/endpointslices"
    with up(tmp_path):
        wait_for(tmp_path, ENDPOINTS, bool)
        target = {"kind": "Pod", "name": "web-7d9-x", "namespace": "kube-to-lake"}
        apiserver.make(
            slices,
            {
                "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.7.0.5"], "targetRef": target}],
                "ports": [port],
            },
        )
        found = wait_for(tmp_path, ENDPOINTS, lambda rows: bool(rows and rows[0][6]))
        host = "web.kube-to-lake.svc.cluster.local"
        web = ("10.7.0.5", "pod", "east", "kube-to-lake", "web", "web-7d9-x", host, "eu-1a")
        assert found == [(*web, True)]
    apiserver.delete(f"{pods}/web-7d9-x?gracePeriodSeconds=0")
    apiserver.delete(f"{slices}/web-1")
    make_pod(apiserver, "api", "10.7.0.5")
    with up(tmp_path):
        found = wait_for(tmp_path, ENDPOINTS, lambda rows: len(rows) == 2 and not rows[0][-1])
        api = ("10.7.0.5", "pod", "east", "kube-to-lake", "api", "api-7d9-x", None, "eu-1a")
        assert found == [(*web, False), (*api, True)]
        lives = "SELECT pod, valid_from, valid_to, seen_to FROM endpoints WHERE pod LIKE '%-7d9-x'"
        first, second = wait_for(tmp_path, f"{lives} ORDER BY valid_from", bool)
        assert first[2] <= second[1]
        assert first[3] <= first[2]
        heard = "SELECT resource FROM inventory_sources WHERE listed_time IS NOT NULL"
        told = {resource for (resource,) in wait_for(tmp_path, heard, bool)}
        assert {"pods", "nodes", "services", "endpointslices", "namespaces"} <= told
    apiserver.delete(f"{pods}/api-7d9-x?gracePeriodSeconds=0")
