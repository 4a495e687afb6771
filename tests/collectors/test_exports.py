"""Exports in files and from commands: what they list, and what of them is whole."""

import contextlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import azure_export, exports, gcp_export
from collectors.batch import Batcher
from collectors.change import decode
from collectors.config import AgentFile, AzureInput, BatchConfig, ConfigError, GcpInput, decode_toml
from collectors.envelope import Envelope, Header
from collectors.exports import documents, run
from collectors.listing import ListingError
from collectors.ship import Parcel

URL = "https://www.googleapis.com/compute/v1/projects/p/"
NETWORK = {"name": "n", "selfLink": f"{URL}global/networks/n", "kind": "compute#network"}
INSTANCE = {
    "name": "vm",
    "kind": "compute#instance",
    "selfLink": f"{URL}zones/z-1-a/instances/vm",
    "metadata": {"items": [{"key": "startup-script", "value": "secret"}]},
    "networkInterfaces": [{"networkIP": "10.0.0.2", "fingerprint": "x", "accessConfigs": [{}]}],
}
VNET = {
    "id": "/subscriptions/S/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/V",
    "name": "V",
    "tags": {"owner": "someone"},
    "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [
            {"name": "A", "properties": {"addressPrefix": "10.0.1.0/24", "delegations": []}}
        ],
    },
}
VNET_FOUND = (
    "s",
    "microsoft.network/virtualnetworks",
    "/subscriptions/s/resourcegroups/g/providers/microsoft.network/virtualnetworks/v",
    {
        "name": "V",
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "A", "addressPrefix": "10.0.1.0/24"}],
    },
)
INSTANCE_FOUND = (
    "p",
    "compute.instances",
    "projects/p/zones/z-1-a/instances/vm",
    {"name": "vm", "networkInterfaces": [{"networkIP": "10.0.0.2", "accessConfigs": [{}]}]},
)

ONE_INSTANCE = [
    [INSTANCE],
    INSTANCE,
    {"kind": "compute#instanceList", "items": [INSTANCE]},
    {
        "kind": "compute#instanceAggregatedList",
        "items": {"zones/z-1-a": {"instances": [INSTANCE]}, "zones/z-1-b": {"warning": {}}},
    },
    [
        {
            "name": "//compute.googleapis.com/projects/p/zones/z-1-a/instances/vm",
            "assetType": "compute.googleapis.com/Instance",
            "resource": {"version": "v1", "data": INSTANCE},
        },
        {"name": "//sqladmin.googleapis.com/projects/p/instances/i", "assetType": "x"},
    ],
]


@pytest.mark.parametrize("document", ONE_INSTANCE)
def test_an_instance_of_googles_in_whatever_it_comes(document: object):
    """One object, known by its link, without start-up script and keys."""
    assert list(gcp_export.objects(document)) == [INSTANCE_FOUND]


FLAT = {key: value for key, value in VNET.items() if key != "properties"} | {
    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
    "subnets": [{"name": "A", "addressPrefix": "10.0.1.0/24", "provisioningState": "Succeeded"}],
}
ONE_VNET = [
    [VNET],
    VNET,
    [FLAT],
    {"value": [VNET]},
    {
        "count": 1,
        "data": [VNET | {"type": "microsoft.network/virtualnetworks"}],
        "skip_token": None,
    },
    {
        "data": {
            "columns": [{"name": "id"}, {"name": "name"}, {"name": "properties"}],
            "rows": [[VNET["id"], "V", VNET["properties"]]],
        }
    },
]


@pytest.mark.parametrize("document", ONE_VNET)
def test_a_network_of_azures_in_whatever_it_comes(document: object):
    """One object, known by its id, with its properties beside, without tags."""
    assert list(azure_export.objects(document)) == [VNET_FOUND]


def test_azures_keys_are_read_however_they_are_written():
    """Versions differ in the case of a key."""
    nic = {
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n",
        "ipConfigurations": [{"privateIpAddress": "10.0.0.4", "subnet": {"id": "x", "y": 1}}],
    }
    assert next(azure_export.objects([nic])).object == {
        "ipConfigurations": [{"privateIPAddress": "10.0.0.4", "subnet": {"id": "x"}}]
    }


NOT_WHOLE = [
    (gcp_export.objects, {"items": [INSTANCE], "nextPageToken": "x"}, "more_pages", 1),
    (gcp_export.objects, {"error": {"code": 403, "message": "no"}}, "error_answer", 0),
    (gcp_export.objects, {"status": "fine"}, "not_inventory", 0),
    (gcp_export.objects, "text", "not_inventory", 0),
    (azure_export.objects, {"value": [VNET], "nextLink": "https://x"}, "more_pages", 1),
    (azure_export.objects, {"data": [VNET], "skip_token": "x"}, "more_pages", 1),
    (azure_export.objects, {"error": {"code": "AuthorizationFailed"}}, "error_answer", 0),
    (azure_export.objects, 7, "not_inventory", 0),
]


@pytest.mark.parametrize(("split", "document", "kind", "count"), NOT_WHOLE)
def test_a_document_that_is_not_whole_says_so_after_what_it_has(
    split: Any, document: object, kind: str, count: int
):
    """A page of several, an error, something else."""
    found: list[object] = []
    with pytest.raises(ListingError) as error:
        found.extend(split(document))
    assert (error.value.kind, len(found)) == (kind, count)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=5),
        st.sampled_from([NETWORK["selfLink"], VNET["id"], "//compute.googleapis.com/projects/p"]),
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [*("items", "clusters", "value", "data", "columns", "rows", "id", "selfLink", "name"),
             *("assetType", "resource", "properties", "subnets", "peerings", "addressSpace")]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(JSON)
def test_any_document_is_split_or_refused(document: object):
    """Objects come with their three names, as JSON; else a `ListingError`."""
    for split in (gcp_export.objects, azure_export.objects):
        try:
            for one in split(document):
                assert all((one.scope, one.resource, one.uid))
                assert isinstance(msgspec.json.encode(one.object), bytes)
        except ListingError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_documents_or_refused(data: bytes):
    """Nothing a file can hold raises anything but `ListingError`."""
    with contextlib.suppress(ListingError):
        assert list(documents(data))


def test_documents_are_the_whole_or_a_line_each():
    """An array over lines is one; a line that is cut leaves those before it."""
    assert list(documents(b'[\n{"a": 1},\n{"a": 2}\n]')) == [[{"a": 1}, {"a": 2}]]
    assert list(documents(b'{"a": 1}\n\n{"a": 2}\r\n')) == [{"a": 1}, {"a": 2}]
    found = documents(b'{"a": 1}\n{"a":')
    assert next(found) == {"a": 1}
    with pytest.raises(ListingError, match="not_json"):
        next(found)


# --- answers -----------------------------------------------------------------


def asks(split: Any = gcp_export.objects, **settings: Any):
    """Ask an input's source once more each time it is called; what it lists, and its failure."""
    kind = AzureInput if split is azure_export.objects else GcpInput
    source = exports._Answers(kind(**settings), split)

    def ask() -> tuple[dict[tuple[str, str], list[str]], str]:
        told: dict[tuple[str, str], list[str]] = {}
        failure = ""
        try:
            for listing in source.ask(threading.Event()):
                uids = told.setdefault((listing.scope, listing.resource), [])
                try:
                    uids.extend(uid.rpartition("/")[2] for uid, _ in listing.objects)
                except ListingError as error:
                    failure = error.kind
        except ListingError as error:
            failure = error.kind
        return told, failure

    return ask


def prints(*documents: object, then: str = "") -> tuple[str, ...]:
    text = "\n".join(json.dumps(one) for one in documents)
    return (sys.executable, "-S", "-c", f"import sys,time,os\nprint({text!r})\n{then}")


def test_files_are_one_answer_and_read_again_when_one_has_changed(tmp_path: Path):
    """What is in none of them any more is listed as none; nothing is told while they are the same."""
    (tmp_path / "a.json").write_text(json.dumps([NETWORK, INSTANCE]))
    (tmp_path / "b.json").write_text(
        json.dumps([NETWORK | {"selfLink": f"{URL}global/networks/m"}, NETWORK])
    )
    ask = asks(files=(str(tmp_path / "*.json"),))
    networks, instances = ("p", "compute.networks"), ("p", "compute.instances")
    assert ask() == ({networks: ["n", "m"], instances: ["vm"]}, "")
    assert ask() == ({}, "")
    (tmp_path / "a.json").write_text(json.dumps([NETWORK]))
    assert ask() == ({instances: [], networks: ["n", "m"]}, "")
    (tmp_path / "b.json").unlink()
    assert ask() == ({networks: ["n"]}, "")


def test_files_that_stand_are_told_again_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """That the source is heard, and what it says, is not forgotten."""
    (tmp_path / "a.json").write_text(json.dumps([NETWORK]))
    ask = asks(files=(str(tmp_path / "a.json"),))
    told = ({("p", "compute.networks"): ["n"]}, "")
    assert ask() == told
    assert ask() == ({}, "")
    monkeypatch.setattr(exports, "_AGAIN_S", 0.0)
    assert ask() == told


def test_what_is_not_whole_is_told_without_an_end(tmp_path: Path):
    """A file cut short, one too large, none at all: what came is told, and read again next time."""
    good, bad = tmp_path / "a.json", tmp_path / "b.json"
    good.write_text(json.dumps([NETWORK]))
    bad.write_text("[{")
    ask = asks(files=(str(good), str(bad)), max_bytes=1_024)
    told = {("p", "compute.networks"): ["n"]}
    assert ask() == (told, "not_json")
    bad.write_text(" " * 2_000)
    assert ask() == (told, "too_large")
    bad.unlink()
    assert ask() == (told, "no_file")
    good.unlink()
    assert ask() == ({}, "no_file")
    good.write_text(json.dumps([INSTANCE]))
    bad.write_text("[]")
    assert ask() == ({("p", "compute.instances"): ["vm"], ("p", "compute.networks"): []}, "")


def test_a_scope_that_is_set_holds_all():
    """One account's answer is one listing a resource, whatever projects are in it."""
    other = json.loads(json.dumps(NETWORK).replace("projects/p/", "projects/q/"))
    ask = asks(commands=(prints([NETWORK, other]),), scope="org")
    assert ask() == ({("org", "compute.networks"): ["n", "n"]}, "")
    ask = asks(commands=(prints([NETWORK, other]),))
    assert ask() == ({("p", "compute.networks"): ["n"], ("q", "compute.networks"): ["n"]}, "")


def test_commands_are_run_each_time(tmp_path: Path):
    """With what they print as documents; one that fails makes none of the answer an end."""
    fails = tmp_path / "fails"
    then = f"sys.exit(3 if os.path.exists({str(fails)!r}) else 0)"
    ask = asks(azure_export.objects, commands=(prints({"value": [VNET]}), prints([], then=then)))
    told = {("s", "microsoft.network/virtualnetworks"): ["v"]}
    assert ask() == (told, "")
    assert ask() == (told, "")
    fails.touch()
    assert ask() == (told, "command_failed")


PROGRAMS = [
    (prints(1, then="sys.stderr.write('x' * 100_000 + 'not logged in'); sys.exit(2)"),
     "command_failed", "ended with 2: x.*not logged in$"),
    (prints(1, then="sys.stderr.write('waiting'); sys.stderr.flush(); time.sleep(60)"),
     "command_timeout", "waiting$"),
    (prints("y" * 2_000), "too_large", "prints more than 1000 bytes"),
    (("/nonexistent/az",), "command_missing", "/nonexistent/az"),
    ((sys.executable, "\0"), "command_missing", "null byte"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "kind", "message"), PROGRAMS)
def test_a_program_that_does_not_do_is_told_of(argv: tuple[str, ...], kind: str, message: str):
    """With what it said last; it is ended when its time is."""
    with pytest.raises(ListingError, match=f"(?s){message}") as error:
        run(argv, threading.Event(), 0.5, 1_000)
    assert error.value.kind == kind


def test_a_program_is_ended_with_what_it_started(tmp_path: Path):
    """When the agent ends: the whole group; nothing is left that holds its output."""
    pid = tmp_path / "pid"
    then = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"])
open({str(pid)!r}, "w").write(str(child.pid))
child.wait()"""
    stop = threading.Event()
    threading.Thread(target=lambda: (_wait_for(pid), stop.set())).start()
    with pytest.raises(ListingError) as error:
        run(prints(1, then=then), stop, 60, 1_000)
    assert error.value.kind == "stopped"
    stat = Path(f"/proc/{pid.read_text()}/stat")
    end_s = time.monotonic() + 10
    while stat.exists() and stat.read_text().split()[2] != "Z" and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def _wait_for(path: Path) -> None:
    end_s = time.monotonic() + 10
    while not (path.exists() and path.read_text()) and time.monotonic() < end_s:
        time.sleep(0.01)


class Ships:
    """Takes envelopes, and tells the agent to end with the first."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def put(self, parcel: Parcel, stop: threading.Event) -> bool:
        """See `Shipper.put`."""
        self.envelopes.append(parcel.envelope)
        stop.set()
        return True


def test_an_export_is_shipped_as_changes(tmp_path: Path):
    """From the file to the log: begin, put, end, of one exporter."""
    (tmp_path / "a.json").write_text(json.dumps([NETWORK]))
    ships, batcher = Ships(), Batcher(Header("a", "east", "net", "gcp"), BatchConfig())
    config = GcpInput(files=(str(tmp_path / "a.json"),), name="prod")
    exports.follow_gcp(config, batcher, ships, threading.Event())  # type: ignore[arg-type]
    rows = [row for one in ships.envelopes for row in one.payloads.to_pylist()]
    changes = [decode(row["payload"]) for row in rows]
    assert [(c.op, c.scope, c.resource, c.uid, c.count) for c in changes] == [
        ("begin", "p", "compute.networks", "", 0),
        ("put", "p", "compute.networks", "projects/p/global/networks/n", 0),
        ("end", "p", "compute.networks", "", 1),
    ]
    assert {row["exporter"] for row in rows} == {"prod"}


def test_what_to_read_must_be_named():
    """Either files or commands; a command has a program."""
    text = '[[agents]]\nname = "a"\ncluster = "c"\nnetwork = "n"\n[[agents.inputs]]\ntype = "gcp"\n'
    with pytest.raises(ConfigError, match="name files, or commands"):
        decode_toml(text.encode(), AgentFile)
    with pytest.raises(ConfigError, match=r"commands\[0\]: expected `array` of length >= 1"):
        decode_toml(f"{text}commands = [[]]\n".encode(), AgentFile)


def test_the_environment_reaches_a_command(monkeypatch: pytest.MonkeyPatch):
    """The vendor's program finds its credentials as it does in a shell."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/home/agent")
    argv = (sys.executable, "-S", "-c", "import os; print(os.environ['CLOUDSDK_CONFIG'])")
    assert run(argv, threading.Event(), 20, 1_000) == b"/home/agent\n"
