"""A real kube-apiserver is watched: what is shipped is what its own list says, whatever happens to it."""

import logging
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver import Client
from kubernetes_agent import Agent, of, world

from collectors.kubernetes.resources import RESOURCES

pytestmark = pytest.mark.kubernetes

MANIFEST = Path(__file__).parents[2] / "deploy/kubernetes/agent.yaml"
PODS = "/api/v1/namespaces/default/pods"
POD = {
    "metadata": {
        "name": "a",
        "labels": {"app": "shop"},
        "annotations": {"secret": "hunter2", "ambient.istio.io/redirection": "enabled"},
    },
    "spec": {
        "nodeName": "node-1",
        "serviceAccountName": "shop",
        "containers": [{"name": "c", "image": "i", "env": [{"name": "KEY", "value": "hunter2"}]}],
    },
}
RUNNING = {
    "phase": "Running",
    "podIP": "10.0.0.7",
    "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
    "startTime": "2026-11-26T10:00:00Z",
}


def pod(name):
    return POD | {"metadata": POD["metadata"] | {"name": name}}


@pytest.fixture
def server(apiserver):
    """The session's API server, without pods."""
    apiserver.start()
    yield apiserver
    apiserver.start()
    for one in apiserver.get(PODS)["items"]:
        apiserver.delete(f"{PODS}/{one['metadata']['name']}")


def watching(server, **settings: Any):
    return Agent(
        server.url,
        **{"ca_file": server.ca_file, "token_file": server.admin_token_file, **settings},
    )


def fresh(server, path="/api/v1/pods"):
    """What the server lists now: uid to version, as the log should have it."""
    return {
        one["metadata"]["uid"]: int(one["metadata"]["resourceVersion"])
        for one in server.get(path)["items"]
    }


def versions(agent, resource="pods"):
    return {uid: one.version for uid, one in world(agent.changes, resource).items()}


def test_a_pods_life_is_told_change_by_change(server):
    """Made, running, deleted: each is one change, with the fields of the allow-list and no other."""
    with watching(server) as agent:
        agent.until_ops("begin end")
        made = server.make(PODS, POD)
        agent.until_ops("begin end put")
        ran = server.patch(f"{PODS}/a/status", {"status": RUNNING})
        agent.until_ops("begin end put put")
        server.delete(f"{PODS}/a")
        agent.until(lambda: agent.ops().endswith("delete"))
    first, second, last = agent.changes[2], agent.changes[3], agent.changes[-1]
    uid, created = made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
    metadata = {
        "name": "a",
        "namespace": "default",
        "uid": uid,
        "creationTimestamp": created,
        "labels": {"app": "shop"},
        "annotations": {"ambient.istio.io/redirection": "enabled"},
    }
    spec = {"nodeName": "node-1", "serviceAccountName": "shop"}
    assert of(first) == {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
    assert of(second) == {"metadata": metadata, "spec": spec, "status": RUNNING}
    assert of(last)["status"] == RUNNING
    assert [one.uid for one in (first, second, last)] == [uid] * 3
    assert first.version == int(made["metadata"]["resourceVersion"])
    assert second.version == int(ran["metadata"]["resourceVersion"])
    assert last.version > second.version
    assert last.time_ns == 0
    assert agent.exporters == {"kube-apiserver"}
    assert agent.dropped == {}


def test_a_list_is_read_page_by_page(server):
    """Five pods in pages of two are one list of five."""
    for name in "abcde":
        server.make(PODS, pod(name))
    with watching(server, page_size=2) as agent:
        agent.until_ops("begin put put put put put end")
    assert agent.changes[-1].count == 5
    assert agent.changes[0].version == agent.changes[-1].version
    assert versions(agent) == fresh(server)


def test_what_went_while_no_agent_ran_is_gone(server):
    """A second run's list takes from the log what the first had put there."""
    server.make(PODS, pod("a"))
    server.make(PODS, pod("b"))
    with watching(server) as first:
        first.until_ops("begin put put end")
    server.delete(f"{PODS}/a")
    server.make(PODS, pod("c"))
    with watching(server) as second:
        second.until_ops("begin put put end")
    second.changes = first.changes + second.changes
    assert versions(second) == fresh(server)
    assert sorted(of(one)["metadata"]["name"] for one in world(second.changes).values()) == [
        "b",
        "c",
    ]


def test_a_killed_api_server_is_watched_again(server, caplog):
    """After kill -9 and a start the watch goes on; what a new server cannot resume (410) is listed."""
    server.make(PODS, pod("a"))
    with watching(server, only=("pods", "services")) as agent:
        agent.until_ops("begin put end")
        server.make(PODS, pod("b"))
        agent.until_ops("begin put end put")
        server.kill()
        agent.until(lambda: "the connection was cut" in caplog.text)
        server.start()
        server.make(PODS, pod("c"))
        server.delete(f"{PODS}/a")
        agent.until(lambda: versions(agent) == fresh(server))
        agent.until(lambda: "there again" in caplog.text)
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(told) == 2, told  # for both resources, and all tries, once each
    assert agent.ops("services").split().count("begin") == 2  # its version is older than the server


def test_a_version_that_was_compacted_is_listed_anew(server, monkeypatch):
    """410 Gone: the list that follows takes what nobody told of."""
    from collectors.kubernetes.watcher import Watcher  # noqa: PLC0415

    server.make(PODS, pod("a"))
    ship = Watcher._ship_list
    old = []

    async def ship_as_of_old(self, page):
        await ship(self, page)
        if not old:
            old.append(self._version)
            self._version = "1"
            server.delete(f"{PODS}/a")
            server.compact()

    monkeypatch.setattr(Watcher, "_ship_list", ship_as_of_old)
    with watching(server) as agent:
        agent.until_ops("begin put end begin end")
    assert world(agent.changes) == {}


def crd(group, version, plural, kind):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {"name": version, "served": True, "storage": True}
                | {"schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def test_a_resource_may_come_and_go(server, caplog):
    """A CRD that is not there is empty and no trouble, watched once it comes, empty when it goes."""
    entries = "/apis/networking.istio.io/v1beta1/namespaces/default/workloadentries"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name = "workloadentries"
    with watching(server, only=(name,)) as agent:
        agent.until_ops("begin end", name)
        assert caplog.text == ""
        server.make(crds, crd("networking.istio.io", "v1beta1", name, "WorkloadEntry"))
        agent.until_ops("begin end begin end", name)
        body = {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "WorkloadEntry",
            "metadata": {"name": "vm"},
            "spec": {"address": "10.9.0.1", "network": "net-2", "x": "private"},
        }
        server_answers = partial(server.ask, "POST", entries, body)
        agent.until(lambda: server_answers()[0] in {201, 409})
        agent.until_ops("begin end begin end put", name)
        assert of(agent.changes[-1])["spec"] == {"address": "10.9.0.1", "network": "net-2"}
        server.delete(f"{crds}/{name}.networking.istio.io")
        agent.until(lambda: agent.ops(name).endswith("begin end"))
    assert world(agent.changes, name) == {}


def test_what_is_not_permitted_is_named_and_counted(server, caplog):
    """403 is told once, with the rule that is missing; once it is there, the watch begins."""
    with watching(server, only=("jobs",), token_file=server.agent_token_file) as agent:
        agent.until(lambda: agent.dropped["kubernetes_forbidden"] >= 2)
        assert agent.changes == []
        rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]}
        server.permit("crosspane-jobs", [rule])
        agent.until_ops("begin end", "jobs")
    told = [one.getMessage() for one in caplog.records]
    assert len(told) == 1
    assert "permit list and watch of jobs in the API group 'batch'" in told[0]


def test_owners_come_without_what_they_own(server):
    """Of a Job only who it is and whose it is arrives."""
    job = {
        "metadata": {"name": "j", "labels": {"a": "b"}},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
            }
        },
    }
    with watching(server, only=("jobs",)) as agent:
        agent.until_ops("begin end", "jobs")
        made = server.make("/apis/batch/v1/namespaces/default/jobs", job)
        agent.until_ops("begin end put", "jobs")
    metadata = {"name": "j", "namespace": "default", "uid": made["metadata"]["uid"]}
    assert of(agent.changes[-1]) == {"metadata": metadata}


def test_after_a_storm_the_log_says_what_the_list_says(server):
    """Four writers, made, patched and deleted as fast as the server takes them; nothing is missed."""
    until_s = time.monotonic() + 3
    counts = []

    def storm(number):
        client, count = Client(server.url, server.ca_file), 0
        while time.monotonic() < until_s:
            name = f"storm-{number}-{count % 20}"
            client.ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
            client.make(PODS, pod(name))
            client.patch(f"{PODS}/{name}/status", {"status": RUNNING | {"podIP": "10.1.0.1"}})
            count += 1
        client.close()
        counts.append(count)

    with watching(server) as agent:
        agent.until_ops("begin end")
        threads = [threading.Thread(target=storm, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = fresh(server)
        agent.until(lambda: versions(agent) == expected)
    assert len(counts) == 4
    assert len(expected) >= 4
    assert agent.ops().count("begin") == 1


def test_the_manifest_grants_what_is_watched_and_no_more(server, tmp_path):
    """As deployed: the service account may list and watch every resource, and read no Secret."""
    server.make("/api/v1/namespaces", {"metadata": {"name": "istio-system"}})
    for one in yaml.safe_load_all(MANIFEST.read_text("utf-8")):
        root = "/api" if "/" not in one["apiVersion"] else "/apis"
        namespace = one["metadata"].get("namespace")
        inside = f"/namespaces/{namespace}" if namespace else ""
        server.make(f"{root}/{one['apiVersion']}{inside}/{one['kind'].lower()}s", one)
    account = "/api/v1/namespaces/crosspane/serviceaccounts/crosspane-agent"
    token = server.make(f"{account}/token", {"spec": {}})["status"]["token"]
    (tmp_path / "token").write_text(token)
    mesh = {"mesh": "accessLogFile: x\ntrustDomain: td.example\n"}
    maps = "/api/v1/namespaces/istio-system/configmaps"
    server.make(maps, {"metadata": {"name": "istio"}, "data": mesh})
    with watching(server, only=tuple(RESOURCES), token_file=tmp_path / "token") as agent:
        agent.until(lambda: all("end" in agent.ops(name) for name in RESOURCES))
        server.patch(f"{maps}/istio", {"data": {"mesh": "trustDomain: other.example"}})
        agent.until(lambda: agent.ops("configmaps") == "begin put end put")
    assert agent.dropped == {}
    told = [of(one)["data"] for one in agent.changes if one.resource == "configmaps" and one.uid]
    assert told == [{"mesh": "trustDomain: td.example"}, {"mesh": "trustDomain: other.example"}]
    client = Client(server.url, server.ca_file, token)
    refused = ["/api/v1/secrets", "/api/v1/configmaps", "/api/v1/events", f"{PODS}/a"]
    assert [client.ask("GET", path)[0] for path in refused] == [403] * 4
    assert client.ask("DELETE", f"{PODS}/a")[0] == 403
    client.close()


def test_a_pod_finds_its_api_server(server, tmp_path, monkeypatch):
    """Without any setting: the environment and the service account's files, as in a pod."""
    monkeypatch.setattr("collectors.kubernetes.server._POD_FILES", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    (tmp_path / "ca.crt").write_bytes(server.ca_file.read_bytes())
    (tmp_path / "token").write_bytes(server.admin_token_file.read_bytes())
    with Agent("") as agent:
        agent.until_ops("begin end")
