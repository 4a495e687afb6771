"""Verdicts with names, and who was refused: from lines of Hubble and ztunnel to the views."""

import json
from datetime import UTC, datetime

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from collectors.log import Place
from pipeline import schema, views
from pipeline.decode import Decoder, Payloads, Source
from pipeline.decode.access_log import AccessLog
from pipeline.decode.hubble.json_export import HubbleJson
from pipeline.decode.ztunnel import Ztunnel
from pipeline.enrich import ENRICHERS, Identities
from pipeline.inventory.file import load
from pipeline.normalize import NORMALIZERS
from pipeline.vantages import Vantages, accounting_rows

INVENTORY = """
[[networks]]
name = "net-east"
model = "flat"

[[clusters]]
provider = "aws"
name = "east"
network = "net-east"

[[endpoints]]
network = "net-east"
cluster = "east"
ip = "10.0.0.5"
kind = "pod"
namespace = "shop"
workload = "web"
"""
SOURCE = Source(Place("crosspane.v1.proxy.east", 0), "agent", "east", "net-east", "file")


def packet(**changed: object) -> dict[str, object]:
    flow = {
        "time": "2026-01-02T03:04:05Z",
        "verdict": "DROPPED",
        "drop_reason_desc": "POLICY_DENIED",
        "IP": {"source": "10.0.0.5", "destination": "10.0.9.9"},
        "l4": {"TCP": {"source_port": 40001, "destination_port": 443, "flags": {"SYN": True}}},
        "destination": {"namespace": "pay", "pod_name": "card-0", "cluster_name": "west"},
        "Type": "L3_L4",
        "event_type": {"type": 1},
        "traffic_direction": "EGRESS",
    }
    return {"flow": flow | changed, "node_name": "east/node-7"}


@pytest.fixture
def lake(tmp_path):
    """A function (decoder, lines) that fills the tables; attribute ``read`` asks them."""
    path = tmp_path / "inventory.toml"
    path.write_text(INVENTORY)
    inventory = load(path)
    identities = Identities.of(inventory)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in schema.TABLES:
        connection.execute(schema.create(table))
    for name in ("endpoints", "clusters"):
        frame = getattr(inventory, name).to_arrow()
        connection.register("rows", frame)
        connection.execute(f"INSERT INTO {name} BY NAME FROM rows")
    for macro in views.MACROS:
        connection.execute(macro)
    for view in views.VIEWS:
        connection.execute(schema.create_view(view))
    connection.execute(schema.create_function(views.verdicts.POLICY_VERDICTS_BETWEEN))
    vantages = Vantages(pl.DataFrame(schema=schema.VANTAGES.schema))

    def fill(decoder: Decoder, *lines: dict[str, object]) -> None:
        raw = [json.dumps(line).encode() for line in lines]
        decoded = decoder.decode(
            Payloads(
                [SOURCE],
                np.zeros(len(raw), np.int32),
                np.zeros(len(raw), np.int64),
                pa.array(raw, pa.binary()),
            )
        )
        ids = vantages.ids(decoded.vantages, identities.network_codes)
        frames = {
            name: ENRICHERS[name](NORMALIZERS[name](ids.attach(frame)), identities)
            for name, frame in decoded.frames.items()
        }
        frames["accounting"] = accounting_rows(ids.attach(decoded.counts))
        frames["vantages"] = vantages.new_rows()
        vantages.keep()
        for name, frame in frames.items():
            columns = {table.name: table.schema.names() for table in schema.TABLES}[name]
            connection.register("rows", frame.select(columns).to_arrow())
            connection.execute(f"INSERT INTO {name} BY NAME FROM rows")

    def read(query: str) -> list[tuple[object, ...]]:
        return connection.execute(query).fetchall()

    fill.read = read
    return fill


def test_both_sides_by_network_address_and_time(lake):
    """A side is an endpoint where one is known, else its network and address."""
    lake(HubbleJson(), packet())
    found = lake.read(
        "SELECT event_time, exporter, src_entity, src_resolution, dst_entity, dst_resolution,"
        " reported_dst_pod, src_port, dst_port, tcp_flags FROM v_verdicts"
    )
    assert found == [
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            *("east/node-7", "east/shop/web", "resolved", "net-east/10.0.9.9", "unknown"),
            *("card-0", 40001, 443, 2),
        )
    ]


COLUMNS = (
    "SELECT layer, client_entity, server_entity, server_port, protocol, verdict, reason, policies,"
    " traffic_direction, observers, times FROM v_policy_verdicts ORDER BY layer, server_entity, verdict"
)


def test_a_refused_packet_counts_once(lake):
    """Its look-up and its drop are two events of one packet; the look-up names the policy."""
    policy = {"name": "lockdown", "namespace": "shop", "kind": "CiliumNetworkPolicy"}
    lookup = packet(event_type={"type": 5}, egress_denied_by=[policy])
    lake(HubbleJson(), lookup, packet(), lookup, packet(), packet(verdict="FORWARDED"))
    assert lake.read(COLUMNS) == [
        (
            *("L4", "east/shop/web", "west/pay/card-0", 443, "TCP", "DROPPED", "POLICY_DENIED"),
            *(["CiliumNetworkPolicy shop/lockdown"], "EGRESS", ["east/node-7"], 2),
        )
    ]


def test_a_span_has_what_was_refused_in_it(lake):
    """From its begin on, up to its end and not with it."""
    lake(HubbleJson(), packet())
    span = (
        "SELECT times FROM policy_verdicts_between('2026-01-02 03:04:05Z', '2026-01-02 03:04:{}Z')"
    )
    assert lake.read(span.format("06")) == [(1,)]
    assert lake.read(span.format("05")) == []


def test_whom_it_wanted_outside(lake):
    """What is outside has its DNS name, else the identity reserved for it; a reply turns round."""
    outside = {"identity": 2, "labels": ["reserved:world"]}
    audit = packet(verdict="AUDIT", destination=outside, event_type={"type": 5})
    named = packet(destination=outside, destination_names=["api.example.com"])
    turned = packet(
        destination=None,
        source=outside,
        is_reply=True,
        IP={"source": "203.0.113.9", "destination": "10.0.0.5"},
        l4={"UDP": {"source_port": 53, "destination_port": 40001}},
    )
    lake(HubbleJson(), audit, named, turned)
    assert [found[1:6] for found in lake.read(COLUMNS)] == [
        ("east/shop/web", "api.example.com", 443, "TCP", "DROPPED"),
        ("east/shop/web", "reserved:world", 443, "TCP", "AUDIT"),
        ("east/shop/web", "reserved:world", 53, "UDP", "DROPPED"),
    ]


def test_proxies_refuse_too(lake):
    """A request or connection that a proxy denied stands beside the packets, whatever the mesh."""
    lake(
        Ztunnel(),
        {
            "level": "error",
            "time": "2026-01-02T03:04:06Z",
            "scope": "access",
            "message": "connection complete",
            "src.addr": "10.0.0.5:1000",
            "src.identity": "spiffe://east/ns/shop/sa/web",
            "dst.addr": "10.0.0.6:15008",
            "dst.hbone_addr": "10.0.0.6:80",
            "dst.service": "card.pay.svc.cluster.local",
            "direction": "inbound",
            "error": "connection closed due to policy rejection: explicitly denied by: pay/none",
        },
    )
    assert lake.read(COLUMNS) == [
        (
            *("L7", "east/shop/web", "card.pay.svc.cluster.local", 15008, "TCP", "DROPPED"),
            "connection closed due to policy rejection: explicitly denied by: pay/none",
            *(["pay/none"], "INGRESS", ["file"], 1),
        )
    ]


def test_a_server_that_takes_no_plaintext_refuses_it(lake):
    """Envoy has no filter chain for such a connection: its flag says so, whatever else it tells."""
    lake(
        AccessLog(),
        {
            "start_time": "2026-01-02T03:04:06.000Z",
            "upstream_cluster": None,
            "protocol": None,
            "response_code": 0,
            "response_flags": "NR",
            "duration": 0,
            "downstream_remote_address": "10.0.9.9:1000",
            "downstream_local_address": "10.0.0.5:8080",
            "traffic_direction": "inbound",
        },
    )
    (row,) = lake.read(COLUMNS)
    assert row[0:7] == (
        *("L7", None, "east/shop/web", 8080, "TCP", "DROPPED"),
        "filter_chain_not_found",
    )


def test_loss_is_in_the_completeness(lake):
    """Events a node lost are the share we do not have of it."""
    lake(
        HubbleJson(),
        packet(),
        {"lost_events": {"num_events_lost": "3"}, "node_name": "east/node-7"},
        {"lost_events": {"num_events_lost": "1"}, "node_name": "east/node-8"},
    )
    found = lake.read(
        "SELECT exporter, format, rows, sequence_units_lost, loss_share, ignored_records,"
        " unknown_share FROM v_completeness ORDER BY exporter"
    )
    assert found == [
        ("east/node-7", "hubble_json", 1, 3, 0.75, 1, 0.5),
        ("east/node-8", "hubble_json", None, 1, 1.0, 1, None),
    ]


def test_calls_as_hubble_sees_them(lake):
    """A call is its end: a start is none, a name that is not found is no failure of the server."""
    asked = {
        "Type": "L7",
        "verdict": "FORWARDED",
        "drop_reason_desc": 0,
        "event_type": {"type": 129},
        "is_reply": False,
    }
    answered = asked | {
        "is_reply": True,
        "IP": {"source": "10.0.9.9", "destination": "10.0.0.5"},
        "l4": {"TCP": {"source_port": 443, "destination_port": 40001}},
    }
    http = {"method": "GET", "url": "http://card.pay/x", "protocol": "HTTP/1.1"}
    dns = {"query": "card.pay.", "qtypes": ["A"], "rcode": 3}
    lake(
        HubbleJson(),
        packet(**asked, l7={"type": "REQUEST", "http": http}),
        packet(
            **answered,
            l7={"type": "RESPONSE", "latency_ns": "2000000", "http": http | {"code": 503}},
        ),
        packet(**answered, l7={"type": "RESPONSE", "dns": dns}),
    )
    found = lake.read(
        "SELECT client_entity, method, status, duration_ms, error FROM v_calls ORDER BY method"
    )
    assert found == [
        ("east/shop/web", "A", None, None, False),
        ("east/shop/web", "GET", 503, 2.0, True),
    ]
