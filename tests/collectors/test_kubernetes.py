"""The watch of an API server against scripted answers: what a real one does seldom, or never should."""

import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_agent import Agent, of, world

from collectors.config import AgentFile, ConfigError, KubernetesInput, decode_toml
from collectors.kubernetes import watcher
from collectors.kubernetes.resources import RESOURCES

ROOT = Path(__file__).parents[2]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}


def metadata(name, version, **more: Any):
    return {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
    } | more


def pod(name, version, **more: Any):
    return {"metadata": metadata(name, version), **more}


def page(version, *items: Any, more=""):
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)}


def event(kind, item):
    return {"type": kind, "object": item}


def refusal(status, reason, head=""):
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n{head}\r\n".encode()


class Script:
    """
    Answers lists and watches, each in turn; the last watch stays open.

    An answer is bytes as they are, an object, or a list of objects: lines.
    """

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self.lists, self.watches = list(lists), list(watches)
        self.asked: list[dict[str, str]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        query = parse_qs(urlsplit(head.split()[1].decode()).query)
        self.asked.append({key: values[0] for key, values in query.items()})
        for line in head.decode().splitlines():
            if line.startswith("Authorization: "):
                self.asked[-1]["authorization"] = line.removeprefix("Authorization: ")
        answers = self.watches if "watch" in query else self.lists
        if answers:
            writer.write(self._bytes(answers.pop(0)))
        elif "watch" in query:
            writer.write(HEAD)
            await writer.drain()
            await self._end.wait()
        else:
            writer.write(refusal(500, "no more lists"))
        writer.close()

    @staticmethod
    def _bytes(answer: Any) -> bytes:
        if callable(answer):
            answer = answer()
        if isinstance(answer, bytes):
            return answer
        lines = answer if isinstance(answer, list) else [answer]
        return HEAD + b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def start(self) -> str:
        """Begin to serve; where."""
        self._thread.start()
        self._ready.wait(10)
        return self.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


def run(lists, watches, until: Callable[[Agent], object], **settings: Any):
    """Run an agent against a script until something is so."""
    with Script(lists, watches) as script, Agent(script.start(), **settings) as agent:
        agent.until(lambda: until(agent))
    return script, agent


def test_a_cut_watch_goes_on_after_the_last_version():
    """What was seen is not asked for again; half a line is none."""
    half = HEAD + b'{"type":"ADDED","object":{"metadata":{"uid":"uid-x"'
    script, agent = run(
        [page(5)],
        [[event("ADDED", pod("a", 6))], half, [event("MODIFIED", pod("a", 7))]],
        lambda agent: agent.ops() == "begin end put put",
    )
    watched = [one["resourceVersion"] for one in script.asked if "watch" in one]
    assert watched[:4] == ["5", "6", "6", "7"][: len(watched)]
    assert [one.version for one in agent.changes] == [5, 5, 6, 7]


@pytest.mark.parametrize("gone", [refusal(410, "Gone"), [GONE]], ids=["status", "event"])
def test_410_is_a_new_list(gone):
    """Either form of it: the list comes from the start, and what it leaves out is gone."""
    _, agent = run(
        [page(5, pod("a", 3)), page(9, pod("b", 8))],
        [gone],
        lambda agent: agent.ops() == "begin put end begin put end",
    )
    assert [*world(agent.changes)] == ["uid-b"]


def test_a_list_that_breaks_has_no_end():
    """A page that is refused, or cut, ends nothing; the next list is a whole one."""
    cut = HEAD + b'{"metadata":{"resourceVersion":"6"},"items":[{'
    _, agent = run(
        [page(5, pod("a", 3), more="next"), refusal(410, "Gone"), cut, page(7, pod("b", 6))],
        [],
        lambda agent: agent.ops() == "begin put begin put end",
    )
    assert [*world(agent.changes)] == ["uid-b"]


def test_bookmarks_move_on_and_are_told_now_and_then(monkeypatch):
    """A bookmark is where the next watch begins; of two within ten seconds one is told."""
    monkeypatch.setattr(watcher, "_QUIET_S", 0.0)
    script, agent = run(
        [page(5)],
        [[event("BOOKMARK", pod("", 30))], refusal(500, "no")],
        lambda agent: agent.ops() == "begin end quiet",
    )
    assert [one.get("resourceVersion") for one in script.asked][1] == "5"
    assert agent.changes[-1].uid == ""
    monkeypatch.setattr(watcher, "_QUIET_S", 10.0)
    script, agent = run(
        [page(5)],
        [[event("BOOKMARK", pod("", 30)), event("ADDED", pod("a", 31))]],
        lambda agent: agent.ops() == "begin end put",
    )


def test_a_silent_connection_is_given_up():
    """Without a byte for ``silence_s`` the watch is made again, from where it was."""
    with Script([page(5)], []) as script, Agent(script.start(), silence_s=1) as agent:
        agent.until(lambda: sum("watch" in one for one in script.asked) >= 2)
    assert {one["resourceVersion"] for one in script.asked if "watch" in one} == {"5"}
    assert agent.ops() == "begin end"


def test_everything_is_listed_anew_now_and_then():
    """A log has all of it within its retention."""
    _, agent = run(
        [page(5, pod("a", 3)), page(6, pod("a", 3))],
        [],
        lambda agent: agent.ops() == "begin put end begin put end",
        relist_s=1,
    )
    assert [*world(agent.changes)] == ["uid-a"]


def test_what_the_spool_lost_is_told_again():
    """When something shipped was lost, all is listed once the log is back."""
    script = Script([page(5, pod("a", 3)), page(6, pod("b", 6))], [])
    with script, Agent(script.start()) as agent:
        agent.until(lambda: agent.ops() == "begin put end" and len(script.asked) == 2)
        agent.trouble = "away"
        agent.lost["spool_full"] += 3
        time.sleep(0.2)
        assert agent.ops() == "begin put end"
        agent.trouble = ""
        agent.until(lambda: agent.ops() == "begin put end begin put end")
    assert [*world(agent.changes)] == ["uid-b"]


def test_nothing_is_lost_while_the_queue_is_full():
    """An agent whose log is slow reads no more, and drops nothing."""
    events = [
        event("ADDED", pod(f"p{number}", number, spec={"nodeName": "n" * 900}))
        for number in range(6, 3006)
    ]
    with Script([page(5)], [events]) as script, Agent(script.start()) as agent:
        agent.full_at = 2  # the listing, and no more
        agent.until(lambda: agent.refused > 0)
        agent.full_at = sys.maxsize
        agent.until(lambda: len(agent.changes) == 3002)
    assert agent.dropped == {}
    assert [one.version for one in agent.changes[2:]] == list(range(6, 3006))


def test_an_object_that_cannot_be_read_is_there_all_the_same(caplog):
    """It is put as null, for the pipeline to reject; one without a uid is counted, and no evidence."""
    bad = pod("a", 3, spec={"nodeName": 7})
    large = pod("b", 4, spec={"nodeName": "n" * 600_000})
    nameless = {"metadata": {"resourceVersion": "5"}}
    _, agent = run(
        [page(6, bad, large, nameless)], [], lambda agent: agent.ops() == "begin put put end"
    )
    assert [(one.uid, one.version, of(one)) for one in agent.changes[1:3]] == [
        ("uid-a", 3, None),
        ("uid-b", 4, None),
    ]
    assert agent.changes[-1].count == 3
    assert agent.dropped == {"object_malformed": 1}
    assert caplog.text.count("is not kept") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        HEAD + b"<html>",
        HEAD + b"[1]",
        HEAD + b"\xff\xfe",
        refusal(503, "busy", "Retry-After: 0\r\n"),
    ],
)
def test_a_server_that_talks_nonsense_is_asked_again(answer):
    """Neither a list nor a watch that is none ends the input, or is believed."""
    _, agent = run(
        [answer, page(5, pod("a", 3))],
        [answer, [event("ADDED", pod("b", 6))]],
        lambda agent: agent.ops() == "begin put end put",
    )
    assert [*world(agent.changes)] == ["uid-a", "uid-b"]


def test_404_of_what_every_server_has_is_a_trouble(caplog):
    """A wrong address that answers 404 to everything empties nothing."""
    run(
        [refusal(404, "Not Found"), page(5, pod("a", 3))],
        [],
        lambda agent: agent.ops() == "begin put end",
    )
    assert "404" in caplog.text


def test_a_refused_token_is_read_again(tmp_path):
    """401: tokens of pods live an hour, and their file is written anew."""
    token = tmp_path / "token"
    token.write_text("old")

    def refuse():
        token.write_text("new")
        return refusal(401, "Unauthorized")

    script = Script([refuse, page(5)], [])
    with script, Agent(script.start(), token_file=token) as agent:
        agent.until(lambda: agent.ops() == "begin end")
    assert [one["authorization"] for one in script.asked][:2] == ["Bearer old", "Bearer new"]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_object_or_counted(data):
    """No bytes in place of an object raise anything."""

    class Taken:
        def __init__(self) -> None:
            self.shipped: list[bytes] = []
            self.lost: list[str] = []

        def add(self, _: str, payload: bytes) -> None:
            self.shipped.append(payload)

        def drop(self, reason: str) -> None:
            self.lost.append(reason)

    taken = Taken()
    one = watcher.Watcher(
        KubernetesInput(server="http://x"),
        "pods",
        server=None,
        intake=taken,
        troubles=None,
        lists=None,
    )
    before = len(taken.shipped) + len(taken.lost)
    one._put("put", msgspec.Raw(data))
    assert len(taken.shipped) + len(taken.lost) == before + 1


def test_every_resource_says_where_it_is():
    """The table's paths, and that names in changes are plurals, with the group where two share one."""
    paths = {name: one.path(one.versions[0]) for name, one in RESOURCES.items()}
    assert paths["pods"] == "/api/v1/pods"
    assert paths["endpointslices"] == "/apis/discovery.k8s.io/v1/endpointslices"
    assert paths["configmaps"] == "/api/v1/namespaces/istio-system/configmaps"
    assert (
        paths["gateways.gateway.networking.k8s.io"] == "/apis/gateway.networking.k8s.io/v1/gateways"
    )
    plurals = [one.plural for one in RESOURCES.values()]
    for name, one in RESOURCES.items():
        twice = plurals.count(one.plural) > 1
        assert name == (f"{one.plural}.{one.group}" if twice else one.plural)


def test_of_a_mesh_config_only_its_name_is_kept():
    """Providers and their addresses stay in the cluster."""
    text = json.dumps(
        {
            "metadata": {"name": "istio", "uid": "u"},
            "data": {
                "mesh": "trustDomain: td.example\nextensionProviders:\n- name: secret\nmeshId: m"
            },
        }
    )
    kept = msgspec.json.decode(text, type=RESOURCES["configmaps"].trim)
    assert msgspec.to_builtins(kept)["data"] == {"mesh": "trustDomain: td.example\nmeshId: m"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('without = ["podz"]', "podz is none of namespaces, nodes, pods"),
        ('server = "x"', "server"),
        ('server = "https://x"\nkubeconfig = "k"', "either this, or kubeconfig"),
        ('tls_cert_file = "c"', "a certificate and its key"),
        ('kubeconfig = "k"\ntoken_file = "t"', "has its own"),
        ("page_size = 0", "objects asked for at a time"),
    ],
)
def test_wrong_settings_are_named(keys, message):
    """Each says which key, and what is allowed."""
    text = f"""
        [log]
        type = "local"
        directory = "log"
        [[agents]]
        name = "a"
        cluster = "c"
        network = "n"
        [[agents.inputs]]
        type = "kubernetes"
        {keys}
    """
    with pytest.raises(ConfigError, match=message):
        decode_toml(text.encode(), AgentFile)


def test_an_agent_without_a_server_says_what_to_set(monkeypatch, tmp_path):
    """Neither in a pod nor with a kubeconfig: the keys are named."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    agent = Agent("", kubeconfig=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="kubeconfig"), agent:
        agent._thread.join(10)


def test_a_kubeconfig_leads_to_the_server(tmp_path):
    """Server and token of the context that is named; the current one is another."""
    with Script([page(5)], []) as script:
        file = tmp_path / "config"
        file.write_text(
            json.dumps(
                {
                    "current-context": "other",
                    "contexts": [
                        {"name": "other", "context": {"cluster": "none", "user": "u"}},
                        {"name": "mine", "context": {"cluster": "here", "user": "u"}},
                    ],
                    "clusters": [
                        {"name": "none", "cluster": {"server": "http://127.0.0.1:1"}},
                        {"name": "here", "cluster": {"server": script.start()}},
                    ],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                }
            )
        )
        with Agent("", kubeconfig=str(file), context="mine") as agent:
            agent.until(lambda: agent.ops() == "begin end")
    assert agent.changes[0].version == 5


def test_the_page_names_every_resource():
    """docs/how-to/kubernetes.md: the table is the resources', and each example is a configuration."""
    page = (ROOT / "docs/how-to/kubernetes.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("What is counted")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall("`(.*?)`", row)} == set(RESOURCES)
    examples = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    log = '[log]\ntype = "local"\ndirectory = "log"\n'
    for text in examples:
        (agent,) = decode_toml((log + text).encode(), AgentFile).agents
        assert isinstance(agent.inputs[0], KubernetesInput)


def test_the_manifest_holds_a_configuration():
    """The ConfigMap of deploy/kubernetes/agent.yaml is what an agent takes."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/agent.yaml").read_text("utf-8"))
    (text,) = (one["data"]["agent.toml"] for one in documents if one["kind"] == "ConfigMap")
    (agent,) = decode_toml(text.encode(), AgentFile).agents
    assert agent.inputs == (KubernetesInput(),)
