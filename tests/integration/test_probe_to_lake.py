"""Two agents of one process probe each other, and what is not there; log, job and views."""

import threading
from pathlib import Path

import pytest
from authority import Authority
from ports import free_ports

from collectors import agent
from collectors.config import AgentConfig, BatchConfig, ProbeInput, ProbeTarget, SpoolConfig
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.lake import Lake, sync_inventory
from pipeline.run import run

ID = "spiffe://cluster.local/ns/shop/sa/reviews"
INVENTORY = """
networks = [{name = "net", model = "flat"}]
clusters = [{name = "west", provider = "gcp", region = "us-west1", network = "net"}]
endpoints = [{ip = "127.0.0.1", network = "net", kind = "pod", cluster = "west", namespace = "shop", workload = "reviews"}]
"""


@pytest.mark.timeout(90)
def test_probes_are_in_the_lake(tmp_path: Path):
    """Each target's outcome from each agent, with the name of who was reached and the certificate it showed."""
    ca = Authority(tmp_path / "certs", "root")
    issued = ca.issue("reviews", f"URI:{ID}", days=3)
    tls_port, nobody = free_ports(2)
    quick = {"interval_s": 2.0, "timeout_s": 2.0, "attempts": 1}
    mutual = {
        "kind": "tls",
        "address": f"127.0.0.1:{tls_port}",
        "tls_ca_file": ca.cert,
        "tls_cert_file": issued.both,
    }
    east = ProbeInput(
        targets=(
            ProbeTarget(name="west", echo=True, identity=ID, **mutual, **quick),
            ProbeTarget(name="west by name", **mutual, **quick),
            ProbeTarget(name="http", kind="http", url=f"https://127.0.0.1:{tls_port}/", verify="chain",
                        tls_ca_file=ca.cert, tls_cert_file=issued.both, **quick),
            ProbeTarget(name="nobody", kind="tcp", address=f"127.0.0.1:{nobody}", **quick),
        )
    )  # fmt: skip
    west = ProbeInput(
        listen=f"127.0.0.1:{tls_port}",
        listen_cert_file=issued.both,
        listen_client_ca_file=ca.cert,
    )
    agents = [
        AgentConfig(
            name=f"node-{cluster}",
            cluster=cluster,
            network="net",
            inputs=(one,),
            batch=BatchConfig(max_age_ms=50),
            spool=SpoolConfig(directory=str(tmp_path / "agent")),
        )
        for cluster, one in (("west", west), ("east", east))
    ]
    stop = threading.Event()
    with LocalWriter(tmp_path / "log", fsync="never") as log:
        enough = threading.Event()

        def look(status: agent.Status) -> None:
            if status.received["probe"] >= 8:  # of four targets, each once in two seconds
                enough.set()

        thread = threading.Thread(target=agent.run_all, args=(agents, log, stop, look), daemon=True)
        thread.start()
        assert enough.wait(60)
        stop.set()
        thread.join()
    (tmp_path / "inventory.toml").write_text(INVENTORY)
    known = Known(inventory.load(tmp_path / "inventory.toml"))
    job = Config(lake=LakeConfig(directory=str(tmp_path / "lake")), job=JobConfig(commit_ms=10))
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        sync_inventory(lake, known.tables)
        run(reader, lake, known, job, stop=threading.Event(), until_idle=True)
        assert lake.read(
            "SELECT DISTINCT observer_cluster, agent, target, kind, outcome, status, peer_entity, certificate_identities"
            " FROM v_probes ORDER BY target"
        ).rows() == [
            ("east", "node-east", "http", "http", "ok", 204, "west/shop/reviews", [ID]),
            ("east", "node-east", "nobody", "tcp", "refused", None, "west/shop/reviews", None),
            ("east", "node-east", "west", "tls", "ok", None, "west/shop/reviews", [ID]),
            ("east", "node-east", "west by name", "tls", "name_mismatch", None, "west/shop/reviews", [ID]),
        ]  # fmt: skip
        assert lake.read(
            "SELECT DISTINCT target, loss_ratio, last_outcome FROM v_probe_health ORDER BY target"
        ).rows() == [
            ("http", 0.0, "ok"),
            ("nobody", 1.0, "refused"),
            ("west", 0.0, "ok"),
            ("west by name", 1.0, "name_mismatch"),
        ]
        assert lake.read(
            "SELECT target, state, outcome, floor(days_left) FROM v_probe_certificates ORDER BY target"
        ).rows() == [
            ("http", "ok", "ok", 2.0),
            ("west", "ok", "ok", 2.0),
            ("west by name", "ok", "name_mismatch", 2.0),
        ]
        counts = lake.read("SELECT format, sum(decoded_records)::BIGINT, sum(rejected_payloads)::BIGINT FROM accounting JOIN vantages USING (vantage_id) GROUP BY 1")  # fmt: skip
        ((form, decoded, rejected),) = counts.rows()
        assert (form, rejected) == ("probe", 0)
        assert decoded == lake.read("SELECT count(*) FROM probes").item() >= 8
