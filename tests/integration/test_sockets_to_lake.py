"""A cable that loses packets: an agent at one end, log, job, and what health says of it."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.netns import inside

from collectors import agent
from collectors.config import AgentConfig, BatchConfig, SocketsInput, SpoolConfig
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.lake import Lake, sync_inventory
from pipeline.run import run

INVENTORY = """
networks = [{name = "net", model = "flat"}]
clusters = [{name = "west", provider = "gcp", region = "us-west1", network = "net"}]
endpoints = [
    {ip = "10.78.0.1", network = "net", kind = "pod", cluster = "west", namespace = "shop", workload = "web"},
    {ip = "10.78.0.2", network = "net", kind = "pod", cluster = "west", namespace = "shop", workload = "db"},
]
"""
LOSSY = """table inet lossy {
    chain arriving {
        type filter hook prerouting priority raw
        tcp dport 5432 numgen inc mod 5 == 0 drop
    }
}"""


def command(*words: str, stdin: str = "") -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, input=stdin).stdout


@pytest.fixture
def apart() -> Iterator[tuple[str, str]]:
    """Two namespaces with a cable between them."""
    a, b = (f"xl{os.getpid()}{end}" for end in "ab")
    try:
        for name in (a, b):
            command("ip", "netns", "add", name)
        command("ip", "-n", a, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", b)
        for name, number in ((a, 1), (b, 2)):
            command("ip", "-n", name, "addr", "add", f"10.78.0.{number}/24", "dev", "eth0")
            command("ip", "-n", name, "link", "set", "eth0", "gso_max_segs", "1", "up")
        yield a, b
    finally:
        for name in (a, b):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def talk(a: str, b: str) -> None:
    """Send 400,000 octets, of which every fifth packet is dropped until it is sent again."""
    received = 0
    with inside(b):
        listening = socket.create_server(("10.78.0.2", 5_432))
    with listening:
        with inside(a):
            client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with server:
            command("ip", "netns", "exec", b, "nft", "-f", "-", stdin=LOSSY)
            sending = threading.Thread(target=client.sendall, args=(bytes(400_000),))
            sending.start()
            while received < 400_000:
                received += len(server.recv(1 << 20))
            sending.join()
            command("ip", "netns", "exec", b, "nft", "flush", "ruleset")
            client.close()
            assert server.recv(1) == b""


@pytest.mark.root
def test_lost_packets_are_in_the_lake_and_in_health(tmp_path: Path, apart: tuple[str, str]):
    """What the kernel of the client says it sent again; the pair fails, though no proxy tells of it."""
    a, b = apart
    sockets = SocketsInput(own_namespace=False, namespaces=(f"/run/netns/{a}",), interval_s=0.2)
    config = AgentConfig(
        name="node-1",
        cluster="west",
        network="net",
        inputs=(sockets,),
        batch=BatchConfig(max_age_ms=50),
        spool=SpoolConfig(directory=str(tmp_path / "agent")),
    )
    stop, looks = threading.Event(), threading.Event()
    with LocalWriter(tmp_path / "log", fsync="never") as log:

        def ready(status: agent.Status) -> None:
            del status
            looks.set()

        thread = threading.Thread(
            target=agent.run, args=(config, log, stop, ready), kwargs={"status_s": 0.5}
        )
        thread.start()
        try:
            assert looks.wait(60)
            talk(a, b)
            counted = command("ip", "netns", "exec", a, "nstat", "-asz", "TcpRetransSegs")
        finally:
            stop.set()
            thread.join()
    (tmp_path / "inventory.toml").write_text(INVENTORY)
    known = Known(inventory.load(tmp_path / "inventory.toml"))
    work = JobConfig(commit_ms=10, work_out=("rollup", "health"))
    job = Config(lake=LakeConfig(directory=str(tmp_path / "lake")), job=work)
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        sync_inventory(lake, known.tables)
        run(reader, lake, known, job, stop=threading.Event(), until_idle=True)
        again = int(counted.split()[2])
        web, db = "west/shop/web", "west/shop/db"
        assert lake.read(
            """SELECT src_entity, dst_entity, sum(retransmitted_packets)::INT, max(format)
            FROM v_flows GROUP BY ALL ORDER BY src_entity"""
        ).rows() == [(db, web, None, "inet_diag"), (web, db, again, "inet_diag")]
        ((sent, packets, timed),) = lake.read(
            f"""SELECT sum(retransmitted_packets)::INT, sum(retransmits_told_packets)::INT, bool_or(rtt_us > 0)
            FROM legs_1d WHERE src_entity = '{web}' AND dst_port = 5432"""
        ).rows()
        assert (sent, timed) == (again, True)
        assert again / packets > 0.1
        judged = lake.read(
            f"""SELECT state, reasons, retransmit_share, again / told FROM v_health_1m JOIN (
                SELECT bucket_start AS minute, sum(retransmitted_packets) AS again,
                    sum(retransmits_told_packets) AS told FROM legs_1m WHERE src_entity = '{web}' GROUP BY ALL
            ) USING (minute) WHERE entity_kind = 'edge' AND entity = '{web} -> {db}'"""
        ).rows()
        for _, _, share, counted_share in judged:
            assert share == counted_share
        assert ("failing", [f"{round(100 * share, 1)}% of packets sent again"]) in [
            row[:2] for row in judged
        ]
        assert lake.read("SELECT state FROM v_health WHERE entity_kind = 'edge'").rows() == [
            ("failing",)
        ]
