"""From a target's answer to the lake's views, through agent, log and job; and a target that is gone."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collectors import agent
from collectors.config import (
    AgentConfig,
    BatchConfig,
    IstiodInput,
    PrometheusInput,
    SpoolConfig,
    Target,
)
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.lake import Lake
from pipeline.run import run

STATISTICS = b"""envoy_cluster_membership_total{cluster_name="outbound|80||web.shop.svc.cluster.local"} 2
envoy_cluster_membership_healthy{cluster_name="outbound|80||web.shop.svc.cluster.local"} 1
outbound_http_balancer_endpoints{endpoint_state="ready",backend_name="web",backend_namespace="a",backend_port="1"} 1
not a sample
"""
ANSWERS = {
    "/stats": STATISTICS,
    "/debug/syncz": b'[{"cluster_id": "east", "proxy": "web-0.shop", "resources": {}}]',
    "/debug/clusterz": b'[{"id": "west", "secretName": "s", "syncStatus": "synced"}]',
    "/debug/endpointShardz": b"{}",
}


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        """Give the document of a path."""
        body = ANSWERS[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 the base's name
        """Say nothing."""


@pytest.mark.timeout(90)
def test_scrapes_are_in_the_lake(tmp_path: Path):
    """Upstreams, control plane and targets by the views; the bad line and the failed scrapes counted."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    targets = (Target(url=f"{base}/stats", name="web-0"), Target(url="unix:/no/such.sock:/stats"))
    config = AgentConfig(
        name="node-1",
        cluster="east",
        network="net",
        inputs=(
            PrometheusInput(targets=targets, interval_s=0.2, mesh="istio"),
            IstiodInput(targets=(Target(url=base, name="istiod-1"),), interval_s=0.2),
        ),
        batch=BatchConfig(max_age_ms=50),
        spool=SpoolConfig(directory=str(tmp_path / "agent")),
    )
    stop = threading.Event()
    statuses: list[agent.Status] = []
    with LocalWriter(tmp_path / "log", fsync="never") as log:
        thread = threading.Thread(
            target=lambda: statuses.append(agent.run(config, log, stop, spooling=False))
        )
        thread.start()
        time.sleep(1.5)
        stop.set()
        thread.join()
    server.shutdown()
    server.server_close()
    serving.join()
    (status,) = statuses
    assert set(status.dropped) == {"scrape_refused"}
    job = Config(lake=LakeConfig(directory=str(tmp_path / "lake")), job=JobConfig(commit_ms=10))
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        nobody = Known(inventory.empty())
        run(reader, lake, nobody, job, stop=threading.Event(), until_idle=True)
        assert lake.read(
            "SELECT exporter, mesh, upstream_cluster, service, state, reasons FROM v_upstreams ORDER BY 3"
        ).rows() == [
            ("web-0", "istio", "a/web:1", None, "healthy", []),
            (
                "web-0",
                "istio",
                "outbound|80||web.shop.svc.cluster.local",
                "web.shop.svc.cluster.local",
                "degraded",
                ["1 of 2 members healthy"],
            ),
        ]
        assert lake.read(
            "SELECT subject, control_plane, proxy, connected, remote_cluster, cluster_state"
            " FROM v_control_plane ORDER BY 1"
        ).rows() == [
            ("cluster", "istiod-1", None, None, "west", "synced"),
            ("proxy", "istiod-1", "web-0.shop", True, None, None),
        ]
        targets_seen = lake.read(
            "SELECT DISTINCT exporter, samples FROM v_targets WHERE answers > 0"
        )
        assert sorted(targets_seen.rows(), key=str) == [
            ("istiod-1/debug/clusterz", None),
            ("istiod-1/debug/endpointShardz", None),
            ("istiod-1/debug/syncz", None),
            ("web-0", 3),
        ]
        scrapes = status.received["prometheus"] - status.dropped["scrape_refused"]
        assert lake.read("SELECT reason, count(*) FROM v_rejects GROUP BY 1").rows() == [
            ("exposition_malformed", scrapes)
        ]
        drops = lake.read("SELECT reason, sum(payloads)::BIGINT FROM agent_drops GROUP BY 1").rows()
        assert drops == [("scrape_refused", status.dropped["scrape_refused"])]
