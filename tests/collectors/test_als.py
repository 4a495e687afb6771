"""Envoy's access log service: real clients, real Envoy, and what hostile ones may do."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.accesslog.v3 import als_pb2
from grpc_peers import Running, certificates, envelopes_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import als, intake, otlp
from collectors.als import METHOD, pieces, short_identifier, split_identifier
from collectors.batch import Batcher
from collectors.config import AgentFile, AlsInput, BatchConfig, Redact, decode_toml
from collectors.envelope import Header
from collectors.errors import InputError
from collectors.ship import Shipper

Message = als_pb2.StreamAccessLogsMessage


def _als(root, batch=None, queue_size=64, **settings: Any):
    config = AlsInput(listen="127.0.0.1:0", **settings)
    return Running(root, "als", als.receive, config, batch=batch, queue_size=queue_size)


def _entries(*paths: str, padding=0):
    message = Message()
    for path in paths:
        entry = message.http_logs.log_entry.add()
        entry.request.path = path
        entry.common_properties.upstream_cluster = "x" * padding
    return message


def _first(node_id, *paths: str):
    message = _entries(*paths)
    message.identifier.node.id = node_id
    message.identifier.log_name = "log"
    return message


def _paths(rows):
    return [
        entry.request.path
        for _, payload in rows
        for entry in Message.FromString(payload).http_logs.log_entry
    ]


def test_every_message_of_a_stream_says_whose_it_is(tmp_path):
    """Two streams with different identities; each payload stands for itself."""
    with _als(tmp_path) as one:
        for name in ("web", "cart"):
            first = _first(name, f"/{name}/1")
            second, third = _entries(f"/{name}/2", f"/{name}/3"), _entries(f"/{name}/4")
            answer = one.send(METHOD, [m.SerializeToString() for m in (first, second, third)])
            assert answer == b""  # an empty StreamAccessLogsResponse
        rows = rows_of(one.end())
    assert [exporter for exporter, _ in rows] == ["web"] * 3 + ["cart"] * 3
    found = [Message.FromString(payload) for _, payload in rows]
    assert [m.identifier.node.id for m in found] == ["web"] * 3 + ["cart"] * 3
    assert {m.identifier.log_name for m in found} == {"log"}
    assert _paths(rows) == [f"/{name}/{n}" for name in ("web", "cart") for n in (1, 2, 3, 4)]
    assert one.batcher.received == 6
    assert one.batcher.lost == {}


def test_an_identifier_is_made_short():
    """60 kB of extensions and private metadata do not go with every message."""
    message = Message()
    node = message.identifier.node
    node.id = "sidecar~10.0.0.1~web-7.shop~shop.svc.cluster.local"
    node.cluster = "web.shop"
    node.locality.region, node.locality.zone = "eu-west-1", "eu-west-1a"
    node.metadata.update(
        {
            "CLUSTER_ID": "east",
            "NETWORK": "net-east",
            "ENVIRONMENT": {"PASSWORD": "hunter2"},
            "OWNER": "x" * 2_000,
        }
    )
    for number in range(500):
        node.extensions.add(name=f"envoy.filters.number.{number}", category="envoy.filters.http")
    message.identifier.log_name = "http"
    identifier, rest = split_identifier(message.SerializeToString())
    assert rest == b""
    front, node_id = short_identifier(identifier)
    assert node_id == "sidecar~10.0.0.1~web-7.shop~shop.svc.cluster.local"
    short = Message.FromString(front)
    assert short.identifier.log_name == "http"
    assert short.identifier.node.cluster == "web.shop"
    assert short.identifier.node.locality.zone == "eu-west-1a"
    assert dict(short.identifier.node.metadata) == {"CLUSTER_ID": "east", "NETWORK": "net-east"}
    assert not short.identifier.node.extensions
    assert len(front) < 250


def test_a_stream_that_does_not_say_whose_it_is_is_ended_and_counted(tmp_path):
    """No exporter is made up: not for entries alone, not for garbage, not for an endless name."""
    firsts = (
        _entries("/a").SerializeToString(),
        b"\xff\xff\xff\xff",
        b"",
        _first("n" * 1_001, "/a").SerializeToString(),
        b"\x0a\x02\xff\xff",
    )
    with _als(tmp_path) as one:
        for first in firsts:
            with pytest.raises(grpc.RpcError) as refused:
                one.send(METHOD, [first, _entries("/b").SerializeToString()])
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        found = one.end()
    assert rows_of(found) == []
    assert one.batcher.lost == {"no_identifier": 5}
    assert sum(e.header.dropped.get("no_identifier", 0) for e in found) == 5


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_node_without_an_id_is_named_by_its_address(tmp_path, host):
    """The identifier is there, so the stream is good; the peer is all that is known."""
    config = AlsInput(listen="[::]:0")
    with Running(tmp_path, "als", als.receive, config) as one:
        with grpc.insecure_channel(f"{host}:{one.port}") as channel:
            channel.stream_unary(METHOD)(iter([_first("", "/a").SerializeToString()]), timeout=30)
        rows = rows_of(one.end())
    assert [exporter for exporter, _ in rows] == [host.strip("[]")]


def test_streams_and_identities_are_bounded(tmp_path):
    """What is above is refused with a status the proxy shows, and counted."""
    hold = threading.Event()

    def held():
        yield _first("one", "/1").SerializeToString()
        hold.wait(20)

    with _als(tmp_path, max_streams=1, max_identities=2) as one:
        holder = threading.Thread(target=one.send, args=(METHOD, held()))
        holder.start()
        while one.batcher.received < 1:
            time.sleep(0.01)
        with pytest.raises(grpc.RpcError) as refused:
            one.send(METHOD, [_first("two", "/2").SerializeToString()])
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        hold.set()
        holder.join()
        for name in ("two", "one"):
            one.send(METHOD, [_first(name, "/2").SerializeToString()])
        with pytest.raises(grpc.RpcError) as refused:
            one.send(METHOD, [_first("three", "/2").SerializeToString()])
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        rows = rows_of(one.end())
    assert [exporter for exporter, _ in rows] == ["one", "two", "one"]
    assert one.batcher.lost == {"too_many_streams": 1, "too_many_identities": 1}


def test_a_log_that_stands_still_holds_the_proxies_not_memory(tmp_path):
    """Flow control reaches the client: it cannot send on; released, nothing is lost."""
    messages = 600
    sent = []

    def stream():
        yield _first("web").SerializeToString()
        for number in range(messages):
            sent.append(number)
            yield _entries(f"/{number}", padding=60_000).SerializeToString()

    with _als(tmp_path, BatchConfig(max_bytes=256 * 1024), queue_size=2) as one:
        one.log.gate.clear()
        sender = threading.Thread(target=one.send, args=(METHOD, stream()))
        sender.start()
        before = -1
        while len(sent) != before:  # until it stands still
            before = len(sent)
            time.sleep(0.5)
        # A group of 16 envelopes, 2 queued, 1 waiting, 1 filling: of 5 messages each, and windows.
        assert len(sent) < 150
        assert one.batcher.received < 120
        one.log.gate.set()
        sender.join(30)
        rows = rows_of(one.end())
    assert _paths(rows) == [f"/{number}" for number in range(messages)]
    assert one.batcher.lost == {}


def test_the_end_takes_what_is_on_its_way(tmp_path):
    """A stream in full flow when the agent is told to end: all that was read is in the log."""
    taken = threading.Event()

    def stream():
        yield _first("web").SerializeToString()
        for number in range(1_000_000):
            if number == 50:
                taken.set()
            yield _entries(f"/{number}", padding=1_000).SerializeToString()

    def send():
        with pytest.raises(grpc.RpcError):
            one.send(METHOD, stream())

    with _als(tmp_path) as one:
        sender = threading.Thread(target=send)
        sender.start()
        assert taken.wait(10)
        rows = rows_of(one.end())
        sender.join()
    assert len(rows) == one.batcher.received > 50
    assert _paths(rows) == [f"/{number}" for number in range(len(rows) - 1)]
    assert one.batcher.lost == {}


def test_what_nobody_takes_at_the_end_is_counted(tmp_path, monkeypatch):
    """A log that never answers again: the agent ends nevertheless, and tells what it costs."""
    monkeypatch.setattr("collectors.intake._END_S", 0.2)
    messages = [_first("web", f"/{n}").SerializeToString() for n in range(3)]

    def send():
        with pytest.raises(grpc.RpcError):
            one.send(METHOD, messages)

    with _als(tmp_path, BatchConfig(max_payloads=1), queue_size=1) as one:
        one.log.gate.clear()
        one.send(METHOD, messages[:1])
        time.sleep(0.1)  # the ship thread has it
        sender = threading.Thread(target=send)  # one will be queued, one waits, one is not read
        sender.start()
        while one.batcher.received < 3:
            time.sleep(0.01)
        one.stop.set()
        one._thread.join(10)
        one.log.gate.set()
        sender.join()
    assert one.batcher.lost == {"queue_full": 1}
    assert len(rows_of(envelopes_of(tmp_path))) == 2


def test_what_was_read_and_is_in_no_batch_yet_is_counted_too(monkeypatch):
    """At the end, behind a batch that nobody took."""
    monkeypatch.setattr("collectors.intake._END_S", 0.0)
    batcher = Batcher(
        Header(agent="a", cluster="c", network="n", kind="als"), BatchConfig(max_payloads=2)
    )
    shipper = Shipper(None, key=b"a", queue_size=1)  # never started: one fits its queue

    async def fill():
        taken = intake.Intake(batcher, shipper)
        for number in range(5):
            taken.add("web", b"%d" % number)
        await taken.end()

    asyncio.run(fill())
    assert batcher.lost == {"queue_full": 3}


def test_a_restarted_agent_goes_on_with_proxies_that_come_again(tmp_path):
    """The same port, a second run: what was taken before and after is there."""
    with _als(tmp_path) as one:
        port = one.port
        one.send(METHOD, [_first("web", "/before").SerializeToString()])
        one.end()
    config = AlsInput(listen=f"127.0.0.1:{port}")
    with Running(tmp_path, "als", als.receive, config, epoch_ns=2) as two:
        two.send(METHOD, [_first("web", "/after").SerializeToString()])
        rows = rows_of(two.end())
    assert _paths(rows) == ["/before", "/after"]


_AGENT = """
import sys
import threading
from pathlib import Path

from collectors.agent import run
from collectors.config import AgentFile, decode_toml
from collectors.log.opening import open_log

(config,) = (found := decode_toml(Path(sys.argv[1]).read_bytes(), AgentFile)).agents
with open_log(found.log, "test") as log:
    run(config, log, threading.Event(), spooling=False)
"""


def _wait_for(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(20)


def test_an_agent_that_is_killed_leaves_whole_messages_and_its_successor_goes_on(tmp_path):
    """What was in the log stays readable; the next one counts anew, under an epoch of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "agent.toml"
    config.write_text(
        f'log = {{type = "local", directory = "{tmp_path / "log"}"}}\n'
        '[[agents]]\nname = "a"\ncluster = "east"\nnetwork = "n"\nbatch = {max_age_ms = 10}\n'
        f'spool = {{directory = "{tmp_path / "state"}"}}\n'
        f'[[agents.inputs]]\ntype = "als"\nlisten = "127.0.0.1:{port}"\n'
    )
    counts = []
    for name in ("one", "two"):
        with subprocess.Popen([sys.executable, "-c", _AGENT, str(config)]) as agent:
            try:
                _wait_for(port)
                messages = [_first(name, f"/{n}").SerializeToString() for n in range(50)]
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    channel.stream_unary(METHOD)(iter(messages), timeout=30)
                until = time.monotonic() + 10
                while len(rows_of(envelopes_of(tmp_path / "log"))) < 50 * (len(counts) + 1):
                    assert time.monotonic() < until
                    time.sleep(0.02)
            finally:
                agent.kill()
        counts.append(len(rows_of(envelopes_of(tmp_path / "log"))))
    found = envelopes_of(tmp_path / "log")
    assert counts == [50, 100]
    assert _paths(rows_of(found)) == [f"/{n}" for n in range(50)] * 2
    assert len({envelope.header.epoch_ns for envelope in found}) == 2


def test_bytes_that_are_no_http_do_not_disturb_it(tmp_path):
    """A scanner at the port: nothing is counted, as nothing was a message; proxies are served."""
    garbage = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(200), b"PRI * HTTP/2.0\r\n" * 9)
    with _als(tmp_path) as one:
        for data in garbage:
            with socket.create_connection(("127.0.0.1", one.port), timeout=10) as scanner:
                scanner.sendall(data)
                scanner.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    while scanner.recv(4_096):
                        pass
        one.send(METHOD, [_first("web", "/a").SerializeToString()])
        assert _paths(rows_of(one.end())) == ["/a"]
    assert one.batcher.lost == {}


def test_a_port_that_is_taken_is_a_sentence(tmp_path):
    """Two agents never share a port unseen."""
    with _als(tmp_path / "one") as one:
        config = AlsInput(listen=f"127.0.0.1:{one.port}")
        with (
            pytest.raises(InputError, match="choose another `listen`"),
            Running(tmp_path / "two", "als", als.receive, config),
        ):
            pass


def test_a_unix_socket_serves_too(tmp_path):
    """A proxy on the same machine needs no port."""
    path = tmp_path / "als.sock"
    config = AlsInput(listen=f"unix:{path}")
    with Running(tmp_path / "log", "als", als.receive, config) as one:
        with grpc.insecure_channel(f"unix:{path}") as channel:
            channel.stream_unary(METHOD)(iter([_first("", "/a").SerializeToString()]), timeout=30)
        rows = rows_of(one.end())
    assert [exporter for exporter, _ in rows] == ["unix"]


def test_tls_lets_in_who_has_a_certificate_of_the_authority(tmp_path):
    """With a client authority a node id is the word of somebody it knows; others are shut out."""
    files = certificates(tmp_path)
    ca, key, cert = (files[name].read_bytes() for name in ("ca", "key", "cert"))
    settings = {
        "tls_cert_file": str(files["cert"]),
        "tls_key_file": str(files["key"]),
        "tls_client_ca_file": str(files["ca"]),
    }
    message = _first("web", "/a").SerializeToString()
    with _als(tmp_path / "log", **settings) as one:
        target = f"localhost:{one.port}"
        known = grpc.ssl_channel_credentials(ca, key, cert)
        with grpc.secure_channel(target, known) as channel:
            channel.stream_unary(METHOD)(iter([message]), timeout=30)
        with (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(ca)) as channel,
            pytest.raises(grpc.RpcError),
        ):
            channel.stream_unary(METHOD)(iter([message]), timeout=5)
        assert _paths(rows_of(one.end())) == ["/a"]


def test_tls_files_that_cannot_be_used_are_a_sentence(tmp_path):
    """A missing file and one that is no certificate are told before anything is served."""
    missing = str(tmp_path / "none.pem")
    with (
        pytest.raises(InputError, match="No such file"),
        _als(tmp_path / "log", tls_cert_file=missing, tls_key_file=missing),
    ):
        pass
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = str(tmp_path / "bad.pem")
    with (
        pytest.raises(InputError, match="mend the TLS files"),
        _als(tmp_path / "log2", tls_cert_file=bad, tls_key_file=bad),
    ):
        pass


def test_a_message_that_redaction_cannot_read_does_not_leak(tmp_path):
    """It is dropped and counted, the stream goes on; told to keep everything, it is passed on."""
    garbage = b"\x12\x03abc"
    messages = [_first("web").SerializeToString(), garbage, _entries("/a").SerializeToString()]
    with _als(tmp_path / "one") as one:
        one.send(METHOD, messages)
        assert _paths(rows_of(one.end())) == ["/a"]
    assert one.batcher.lost == {"redact_failed": 1}
    keep = Redact(query="keep", headers="keep", field_treatment="keep", keep_metadata=("*",))
    with _als(tmp_path / "two", redact=keep) as two:
        two.send(METHOD, messages)
        rows = rows_of(two.end())
    assert len(rows) == 3
    assert rows[1][1].endswith(garbage)


def test_a_message_above_the_limit_is_counted(tmp_path):
    """What comes before and after it is kept; one above twice the limit ends its stream."""
    messages = [
        _first("web", "/a").SerializeToString(),
        _entries("/b", padding=70_000).SerializeToString(),
        _entries("/c").SerializeToString(),
    ]
    with _als(tmp_path, max_message_bytes=65_536) as one:
        one.send(METHOD, messages)
        messages[1] = _entries("/b", padding=140_000).SerializeToString()
        with pytest.raises(grpc.RpcError) as refused:
            one.send(METHOD, messages)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        rows = rows_of(one.end())
    assert _paths(rows) == ["/a", "/c", "/a"]
    assert one.batcher.lost == {"message_too_large": 1}


def test_a_message_too_large_for_a_batch_is_cut_between_its_entries(tmp_path):
    """No entry is lost but one that alone is too large; every envelope fits into Kafka's 1 MiB."""
    large = _entries(*(f"/{n}" for n in range(30)), padding=50_000)
    large.http_logs.log_entry[7].common_properties.upstream_cluster = "y" * 600_000
    first = _first("web")
    first.MergeFrom(large)
    tcp = _first("web")
    for number in range(2):
        entry = tcp.tcp_logs.log_entry.add()
        entry.common_properties.upstream_cluster = "z" * 300_000
        entry.connection_properties.sent_bytes = number
    with _als(tmp_path) as one:
        one.send(METHOD, [first.SerializeToString(), tcp.SerializeToString()])
        found = one.end()
    rows = rows_of(found)
    assert {exporter for exporter, _ in rows} == {"web"}
    assert _paths(rows) == [f"/{n}" for n in range(30) if n != 7]
    parts = [Message.FromString(payload) for _, payload in rows]
    sent = [e.connection_properties.sent_bytes for m in parts for e in m.tcp_logs.log_entry]
    assert sent == [0, 1]
    assert one.batcher.lost == {"message_too_large": 1}
    assert all(e.payloads["payload"].nbytes < 1_000_000 for e in found)


def test_inputs_of_one_process_do_not_disturb_each_other(tmp_path, caplog):
    """Each has its own event loop; gRPC serves them all from one queue."""
    message = _first("web", "/a").SerializeToString()
    with ExitStack() as stack:
        inputs = [stack.enter_context(_als(tmp_path / str(n))) for n in range(3)]
        senders = [
            threading.Thread(target=one.send, args=(METHOD, [message] * 500)) for one in inputs
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        for one in inputs:
            assert len(rows_of(one.end())) == 500
    assert caplog.records == []


def test_the_page_on_it_has_a_configuration_that_is_one_and_every_reason():
    """What docs/how-to/envoy-als.md says of an agent is so."""
    page = (Path(__file__).parents[2] / "docs/how-to/envoy-als.md").read_text("utf-8")
    agent, redact = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (found,) = decode_toml(f"{agent}\n{redact}".encode(), AgentFile).agents
    assert [one.__struct_config__.tag for one in found.inputs] == ["als", "otlp_logs"]
    assert found.inputs[1].redact.query == "hash"
    for module in (als, otlp, intake):
        source = Path(module.__file__).read_text("utf-8")
        for reason in re.findall(r'(?:drop|refuse)\(.*"([a-z_]+)"\)', source):
            assert f"`{reason}`" in page


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_split_without_loss_of_a_byte(message):
    """What is no message is left as it is; identifier and rest are all of one that is."""
    identifier, rest = split_identifier(message)
    if not identifier and rest == message:
        return
    assert len(identifier) + len(rest) < len(message) or not message


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_cut_or_left(entries):
    """Nothing raises; bytes that are no message are one piece."""
    assert len(list(pieces(entries, 50))) <= len(entries) + 1
