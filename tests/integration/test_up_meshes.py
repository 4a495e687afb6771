"""`crosspane up` with the inputs of the how-to pages for ambient, Linkerd and Hubble's export."""

import json
import re
from pathlib import Path

import pytest
from running import HASTY, up, wait_for

from pipeline.lake import connect

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
AGENT = """
[agents.batch]
max_age_ms = 100
[agents.spool]
directory = "{kind}"
"""
ZTUNNEL = (
    "2026-01-02T03:04:05.800000Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.5:1000"
    ' src.identity="spiffe://east/ns/shop/sa/web" dst.addr=10.0.0.6:15008'
    ' dst.hbone_addr=10.0.0.6:80 dst.service="card.pay.svc.cluster.local" direction="inbound"'
    ' bytes_sent=358 bytes_recv=283 duration="2ms"\n'
    "2026-01-02T03:04:05.800000Z\tinfo\txds::client:xds{id=1}\treceived response\n"
)
LINKERD = json.dumps(
    {
        "client.addr": "10.0.0.5:1001",
        "client.id": "web.shop.serviceaccount.identity.linkerd.cluster.local",
        "host": "card.pay.svc.cluster.local:80",
        "method": "GET",
        "status": 200,
        "timestamp": "2026-01-02T03:04:05Z",
        "uri": "/pay?card=4929",
        "version": "HTTP/1.1",
    }
)
HUBBLE = json.dumps(
    {
        "flow": {
            "time": "2026-01-02T03:04:05Z",
            "verdict": "DROPPED",
            "drop_reason_desc": "POLICY_DENIED",
            "IP": {"source": "10.0.0.5", "destination": "10.0.0.7"},
            "l4": {"TCP": {"source_port": 1002, "destination_port": 443}},
            "Type": "L3_L4",
            "event_type": {"type": 1},
        },
        "node_name": "east/node-7",
    }
)
LOGS = {"ztunnel": ZTUNNEL, "linkerd": LINKERD + "\n", "hubble_json": HUBBLE + "\n"}


def agents(tmp_path: Path) -> str:
    """Agents of the pages, reading files here; each page's agent gets a name of its own."""
    text = "".join((HOW_TO / f"{page}.md").read_text() for page in ("ambient", "linkerd", "hubble"))
    found = []
    for block in re.findall("```toml\n(.*?)```", text, re.DOTALL):
        kind = re.search('type = "(.*?)"', block)[1]
        if kind in LOGS:
            path = tmp_path / f"{kind}.log"
            path.write_text(LOGS[kind])
            here = re.sub("paths = .*", f"paths = ['{path}']", block)
            found.append(here.replace("node-7", kind, 1) + AGENT.format(kind=kind))
    return "\n".join(found)


@pytest.mark.timeout(115)
def test_lines_of_every_mesh_become_rows(tmp_path: Path):
    """What the pages say to configure is all it takes, from the file to the view."""
    (tmp_path / "crosspane.toml").write_text(HASTY + agents(tmp_path))
    received = "SELECT coalesce(sum(received_payloads), 0) FROM accounting"
    with up(tmp_path):
        wait_for(tmp_path, received, lambda rows: bool(rows) and rows[0][0] >= 4)
    with connect(tmp_path / "lake") as reader:
        requests = reader.execute(
            "SELECT agent, exporter, mesh, reporter, protocol, service, path, bytes_received,"
            " downstream_peer_identity FROM v_requests ORDER BY agent"
        ).fetchall()
        refused = reader.execute(
            "SELECT layer, client_entity, server_entity, server_port, reason, observers, times"
            " FROM v_policy_verdicts"
        ).fetchall()
        counts = reader.execute(
            "SELECT agent, format, received_payloads, ignored_records, rows FROM v_completeness"
            " ORDER BY agent"
        ).fetchall()
    service = "card.pay.svc.cluster.local"
    linkerd = "web.shop.serviceaccount.identity.linkerd.cluster.local"
    path = str(tmp_path / "linkerd.log")
    assert requests == [
        ("linkerd", path, "linkerd", "destination", "HTTP/1.1", service, "/pay", None, linkerd),
        (
            *("ztunnel", "node-7", "istio", "destination", "TCP", service, None, 283),
            "spiffe://east/ns/shop/sa/web",
        ),
    ]
    assert refused == [
        (
            *("L4", "net-east/10.0.0.5", "net-east/10.0.0.7", 443, "POLICY_DENIED"),
            *(["east/node-7"], 1),
        )
    ]
    assert counts == [
        ("hubble_json", "hubble_json", 1, 0, 1),
        ("linkerd", "linkerd", 1, 0, 1),
        ("ztunnel", "ztunnel", 2, 1, 1),
    ]
