"""The whole agent: inputs to log, an orderly end, and replay."""

import socket
import struct
import sys
import threading
import time
from collections import Counter
from types import ModuleType
from typing import Self, get_args

import pytest
from ports import free_ports

from collectors import envelope as envelopes
from collectors.agent import INPUTS, run, run_all
from collectors.config import (
    AgentConfig,
    BatchConfig,
    Input,
    KafkaLog,
    LocalLog,
    SpoolConfig,
    TailInput,
    UdpInput,
)
from collectors.envelope import GROUPS, Header
from collectors.errors import InputError
from collectors.log import LogError
from collectors.log.local import LocalReader, LocalWriter
from collectors.log.opening import open_log
from collectors.replay import replay

HEADER = Header(agent="replay", cluster="east", network="n", kind="")


def _config(tmp_path, *inputs: UdpInput | TailInput, name="node-1", cluster="east"):
    return AgentConfig(
        name=name,
        cluster=cluster,
        network="flat",
        inputs=inputs,
        batch=BatchConfig(max_age_ms=10),
        spool=SpoolConfig(directory=str(tmp_path / "state"), retry_s=0.02),
    )


def _udp(port):
    return UdpInput(listen=f"127.0.0.1:{port}", receive_buffer_bytes=1 << 20)


def _messages(root):
    with LocalReader(root) as reader:
        reader.seek(dict.fromkeys(reader.places("crosspane"), 0))
        found = []
        while messages := reader.poll(1 << 30, 0):
            found += messages
        return found


def _rows(root, topic):
    return [
        row["payload"]
        for message in _messages(root)
        if message.topic == topic
        for row in envelopes.decode(message.value).payloads.to_pylist()
    ]


class _Running:
    """`run` in a thread, as a command line would call it."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self.stop = threading.Event()
        self.result: list[object] = []
        self.statuses: list[object] = []
        self._thread = threading.Thread(target=self._run, args=(arguments, named))

    def _run(self, arguments, named) -> None:
        self.result.append(run(*arguments, self.stop, self.statuses.append, status_s=0.05, **named))

    def __enter__(self) -> Self:
        self._thread.start()
        time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(20)


def test_there_is_an_input_for_each_kind_and_each_configured_type():
    """An input's type is the kind of its payloads: one name from file to topic."""
    tags = {one.__struct_config__.tag for one in get_args(Input)}
    assert set(INPUTS) == set(GROUPS) == tags


def test_datagrams_and_lines_of_one_agent_arrive_in_their_topics(tmp_path):
    """Each kind is numbered for itself; the status adds up."""
    (port,) = free_ports(1, socket.SOCK_DGRAM)
    lines = tmp_path / "access.log"
    lines.write_bytes(b"1\n2\n")
    config = _config(tmp_path, _udp(port), TailInput(paths=(str(lines),), poll_ms=5))
    root = tmp_path / "log"
    with LocalWriter(root) as log:
        with _Running(config, log, spooling=False) as running:
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                for n in range(50):
                    sender.sendto(b"%d" % n, ("127.0.0.1", port))
            time.sleep(0.2)
        (status,) = running.result
    assert _rows(root, "crosspane.v1.flow.east") == [b"%d" % n for n in range(50)]
    assert _rows(root, "crosspane.v1.proxy.east") == [b"1", b"2"]
    for message in _messages(root):
        header = envelopes.decode(message.value).header
        assert (header.agent, header.cluster, header.network) == ("node-1", "east", "flat")
        assert message.key == b"node-1"
    assert status.agent == "east/node-1"
    assert status.received == {"netflow": 50, "access_log": 2}
    assert status.shipped == 52
    assert (status.dropped, status.trouble, status.spooled_envelopes) == ({}, "", 0)
    assert running.statuses[-1] == status
    assert len(running.statuses) > 2


class _DeadLog:
    """A log that never answers."""

    def append(self, *_: object) -> None:
        raise LogError("no broker")

    def flush(self, timeout_s: float = 30.0) -> None:
        raise LogError(f"no broker in {timeout_s} s")

    def close(self) -> None:
        pass


def test_an_agent_that_ends_while_the_log_is_away_keeps_all_on_disk(tmp_path):
    """The next one ships it, before what it receives itself."""
    (port,) = free_ports(1, socket.SOCK_DGRAM)
    config = _config(tmp_path, _udp(port))
    with (
        _Running(config, _DeadLog()) as running,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        for n in range(50):
            sender.sendto(b"%d" % n, ("127.0.0.1", port))
    (status,) = running.result
    assert (status.shipped, status.dropped) == (0, {})
    assert status.spooled_envelopes > 0
    assert "no broker" in status.trouble
    root = tmp_path / "log"
    with (
        LocalWriter(root) as log,
        _Running(config, log),
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        sender.sendto(b"new", ("127.0.0.1", port))
        time.sleep(0.1)
    assert _rows(root, "crosspane.v1.flow.east") == [*(b"%d" % n for n in range(50)), b"new"]


def test_an_input_that_cannot_be_opened_ends_the_agent_with_its_error(tmp_path):
    """Not a thread that died in silence."""
    (port,) = free_ports(1, socket.SOCK_DGRAM)
    with socket.socket(type=socket.SOCK_DGRAM) as holder, LocalWriter(tmp_path / "log") as log:
        holder.bind(("127.0.0.1", port))
        with pytest.raises(InputError, match="choose another `listen`"):
            run(_config(tmp_path, _udp(port)), log, threading.Event(), spooling=False)


def test_several_agents_share_a_local_log(tmp_path):
    """One process, one log, a topic for each cluster; all end together."""
    ports = free_ports(2, socket.SOCK_DGRAM)
    agents = [
        _config(tmp_path, _udp(ports[0]), cluster="east"),
        _config(tmp_path, _udp(ports[1]), cluster="west"),
    ]
    root = tmp_path / "log"
    stop = threading.Event()
    result = []
    with LocalWriter(root) as log:
        thread = threading.Thread(
            target=lambda: result.extend(run_all(agents, log, stop, spooling=False))
        )
        thread.start()
        time.sleep(0.2)
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for n in range(20):
                sender.sendto(b"east %d" % n, ("127.0.0.1", ports[0]))
                sender.sendto(b"west %d" % n, ("127.0.0.1", ports[1]))
        time.sleep(0.1)
        stop.set()
        thread.join(20)
    assert _rows(root, "crosspane.v1.flow.east") == [b"east %d" % n for n in range(20)]
    assert _rows(root, "crosspane.v1.flow.west") == [b"west %d" % n for n in range(20)]
    assert [status.agent for status in result] == ["east/node-1", "west/node-1"]


def test_one_agent_that_fails_ends_the_others(tmp_path):
    """A process that seems to run but receives nothing helps nobody."""
    (port,) = free_ports(1, socket.SOCK_DGRAM)
    agents = [
        _config(tmp_path, _udp(port), cluster="east"),
        _config(tmp_path, _udp(port), cluster="west"),
    ]
    with LocalWriter(tmp_path / "log") as log, pytest.raises(InputError):
        run_all(agents, log, threading.Event(), spooling=False)


def test_open_log_opens_what_is_configured(tmp_path):
    """The agent and the demo write the same local log."""
    with open_log(LocalLog(directory=str(tmp_path / "log"), partitions=2), "agent") as log:
        assert isinstance(log, LocalWriter)


def test_open_log_gives_kafka_its_settings(monkeypatch):
    """Kafka's client is imported only for a Kafka log."""
    made = []
    module = ModuleType("collectors.log.kafka")
    module.KafkaWriter = lambda *arguments, **named: made.append((arguments, named))
    monkeypatch.setitem(sys.modules, "collectors.log.kafka", module)
    open_log(KafkaLog(bootstrap=("k1:9092", "k2:9092"), ssl_cafile="/ca"), "agent-1")
    assert made == [
        (
            ("k1:9092,k2:9092",),
            {
                "client_id": "agent-1",
                "settings": {"ssl_cafile": "/ca", "security_protocol": "PLAINTEXT"},
            },
        )
    ]


def _capture(path, times_s):
    udp = struct.pack(">HHHH", 40_000, 2055, 8 + 2, 0) + b"\x00\x05"
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0xC0000201, 1) + udp
    data = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    for time_s in times_s:
        data += struct.pack(">IIII", int(time_s), round(time_s % 1 * 1_000_000), len(ip), len(ip))
        data += ip
    path.write_bytes(data)


def test_replay_keeps_the_time_and_order_of_captures(tmp_path):
    """Files in the order given; kinds by their names; damage is told, not raised."""
    flows, lines, torn = (tmp_path / name for name in ("a.pcap", "b.jsonl", "c.pcap"))
    _capture(flows, [1_700_000_000, 1_700_000_001.5])
    lines.write_bytes(b"1\n2\n3\n")
    _capture(torn, [1_700_000_002, 1_700_000_003])
    torn.write_bytes(torn.read_bytes()[:-1])
    seen = []
    with LocalWriter(tmp_path / "log") as log:
        done = replay(
            [flows, lines, torn],
            HEADER,
            log,
            batch=BatchConfig(max_payloads=2),
            progress=lambda one: seen.append(one.envelopes),
        )
    assert done.payloads == {"netflow": 3, "access_log": 3}
    assert seen == [1, 2, 3, 4]
    assert [error.path for error in done.errors] == [torn]
    rows = [
        row
        for message in _messages(tmp_path / "log")
        if message.topic == "crosspane.v1.flow.east"
        for row in envelopes.decode(message.value).payloads.to_pylist()
    ]
    assert [row["received_ns"] for row in rows] == [
        1_700_000_000_000_000_000,
        1_700_000_001_500_000_000,
        1_700_000_002_000_000_000,
    ]
    assert {row["exporter"] for row in rows} == {"192.0.2.1"}
    (first, *_) = _messages(tmp_path / "log")
    assert envelopes.decode(first.value).header.agent == "replay"


def test_replay_can_date_payloads_now(tmp_path):
    """For a demonstration on old captures; so are captures that tell no time."""
    flows = tmp_path / "a.pcap"
    _capture(flows, [1_700_000_000])
    before_ns = time.time_ns()
    with LocalWriter(tmp_path / "log") as log:
        replay([flows], HEADER, log, keep_time=False)
    (message,) = _messages(tmp_path / "log")
    (row,) = envelopes.decode(message.value).payloads.to_pylist()
    assert before_ns <= row["received_ns"] <= time.time_ns()


def test_replay_at_a_speed_waits_as_long_as_the_capture_did(tmp_path):
    """3 s of capture at ten times the speed take 0.3 s."""
    flows = tmp_path / "a.pcap"
    _capture(flows, [1_700_000_000, 1_700_000_001, 1_700_000_003])
    began_s = time.monotonic()
    with LocalWriter(tmp_path / "log") as log:
        done = replay([flows], HEADER, log, speed=10.0, batch=BatchConfig(max_age_ms=10))
    assert 0.3 <= time.monotonic() - began_s < 2
    assert done.payloads == {"netflow": 3}
    assert done.envelopes == 3


def test_replay_ends_when_told(tmp_path):
    """What was read until then is in the log."""
    flows = tmp_path / "a.pcap"
    _capture(flows, [1_700_000_000, 1_700_009_999])
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with LocalWriter(tmp_path / "log") as log:
        done = replay([flows], HEADER, log, speed=1.0, stop=stop)
    assert done.payloads == Counter(netflow=1)
