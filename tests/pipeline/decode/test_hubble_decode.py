"""Hubble's flows to rows, as JSON and as protobuf: the same rows, each by hand or by its sample."""

import json
from pathlib import Path

import hubble_messages as messages
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_payloads import MAPPED, SOURCES, decode, payloads, reasons, told
from polars.testing import assert_frame_equal

from pipeline import schema
from pipeline.decode.hubble import Hubble
from pipeline.decode.hubble import events as hubble_events
from pipeline.decode.hubble.json_export import HubbleJson

TIME = "2021-10-04T14:28:40.808318870Z"
TIME_NS = 1_633_357_720_808_318_870
CLIENT = {
    "ID": 3871,
    "identity": 16781,
    "cluster_name": "east",
    "namespace": "shop",
    "pod_name": "web-1",
    "labels": [
        "k8s:app=web",
        "k8s:io.cilium.k8s.policy.cluster=other",
        "k8s:io.cilium.k8s.policy.serviceaccount=web",
        "k8s:io.kubernetes.pod.namespace=shop",
    ],
    "workloads": [{"name": "web", "kind": "Deployment"}, {"name": "second"}],
}
SERVER = {
    "identity": 131_848,
    "namespace": "pay",
    "pod_name": "card-0",
    "labels": ["k8s:app=card", "k8s:io.cilium.k8s.policy.cluster=west"],
}
PACKET = {
    "time": TIME,
    "verdict": "FORWARDED",
    "IP": {"source": "10.0.0.5", "destination": "10.1.0.9", "ipVersion": "IPv4"},
    "l4": {
        "TCP": {"source_port": 40001, "destination_port": 8080, "flags": {"SYN": True, "ECE": True}}
    },
    "source": CLIENT,
    "destination": SERVER,
    "Type": "L3_L4",
    "node_name": "east/node-7",
    "event_type": {"type": 4, "sub_type": 3},
    "traffic_direction": "EGRESS",
    "trace_observation_point": "TO_STACK",
    "trace_reason": "NEW",
    "is_reply": False,
    "Summary": "TCP Flags: SYN",
}
PACKET_ROW = {
    "event_ns": TIME_NS,
    "verdict": "FORWARDED",
    "event_type": "trace",
    "observation_point": "TO_STACK",
    "trace_reason": "NEW",
    "traffic_direction": "EGRESS",
    "is_reply": False,
    "src_ip_hi": 0,
    "src_ip_lo": MAPPED + 0x0A000005,
    "dst_ip_hi": 0,
    "dst_ip_lo": MAPPED + 0x0A010009,
    "src_port": 40001,
    "dst_port": 8080,
    "protocol": 6,
    "tcp_flags": 2 + 64,
    "src_identity": 16781,
    "reported_src_cluster": "east",
    "reported_src_namespace": "shop",
    "reported_src_workload": "web",
    "reported_src_pod": "web-1",
    "src_labels": ["k8s:app=web", "k8s:io.cilium.k8s.policy.serviceaccount=web"],
    "dst_identity": 131_848,
    "reported_dst_cluster": "west",
    "reported_dst_namespace": "pay",
    "reported_dst_pod": "card-0",
    "dst_labels": ["k8s:app=card"],
}
HTTP = {
    "method": "POST",
    "url": "http://card.pay:8080/pay/1?card=4929",
    "protocol": "HTTP/1.1",
    "headers": [
        {"key": "User-Agent", "value": "curl"},
        {"key": "X-Request-Id", "value": "49116c2c"},
        {"key": "x-request-id", "value": "second"},
        {"key": "Traceparent", "value": "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01"},
    ],
}
REQUEST = {
    "time": TIME,
    "verdict": "FORWARDED",
    "IP": {"source": "10.0.0.5", "destination": "10.1.0.9"},
    "l4": {"TCP": {"source_port": 40001, "destination_port": 8080}},
    "source": CLIENT,
    "destination": SERVER,
    "Type": "L7",
    "event_type": {"type": 129},
    "traffic_direction": "EGRESS",
    "destination_service": {"name": "card", "namespace": "pay"},
    "is_reply": False,
    "l7": {"type": "REQUEST", "http": HTTP},
}
RESPONSE = REQUEST | {
    "IP": {"source": "10.1.0.9", "destination": "10.0.0.5"},
    "l4": {"TCP": {"source_port": 8080, "destination_port": 40001}},
    "source": SERVER,
    "destination": CLIENT,
    "source_service": {"name": "card", "namespace": "pay"},
    "destination_service": {},
    "is_reply": True,
    "l7": {"type": "RESPONSE", "latency_ns": "2500000", "http": HTTP | {"code": 503}},
}
START_ROW = {
    "start_ns": TIME_NS,
    "reporter": "source",
    "proxy_model": "host",
    "mesh": "cilium",
    "log_type": "start",
    "is_health_check": False,
    "protocol": "HTTP/1.1",
    "method": "POST",
    "authority": "card.pay:8080",
    "path": "/pay/1",
    "request_id": "49116c2c",
    "trace_id": "80f198ee56343ba864fe8b2a57d3eff7",
    "service": "card.pay.svc",
    "downstream_remote_ip_hi": 0,
    "downstream_remote_ip_lo": MAPPED + 0x0A000005,
    "downstream_remote_port": 40001,
    "upstream_remote_ip_hi": 0,
    "upstream_remote_ip_lo": MAPPED + 0x0A010009,
    "upstream_remote_port": 8080,
    "reported_src_cluster": "east",
    "reported_src_namespace": "shop",
    "reported_src_workload": "web",
    "reported_src_pod": "web-1",
    "reported_dst_cluster": "west",
    "reported_dst_namespace": "pay",
    "reported_dst_pod": "card-0",
}
END_ROW = START_ROW | {
    "start_ns": TIME_NS - 2_500_000,
    "log_type": "end",
    "status": 503,
    "duration_ms": 2.5,
}


def both(*lines: dict[str, object]) -> dict[str, pl.DataFrame]:
    """Frames of these lines, which are the same by JSON and by protobuf."""
    by_json = decode(HubbleJson(), *lines)
    by_wire = decode(Hubble(), *map(messages.to_wire, lines))
    assert by_wire.frames.keys() == by_json.frames.keys() == {"verdicts", "requests"}
    assert by_json.frames["verdicts"].schema == schema.DECODED_VERDICTS
    for name, frame in by_json.frames.items():
        assert_frame_equal(by_wire.frames[name], frame)
    counts = [one.counts.drop("received_bytes") for one in (by_json, by_wire)]
    assert_frame_equal(*counts)
    assert [one.source.exporter for one in by_json.vantages] == [
        one.source.exporter for one in by_wire.vantages
    ]
    return by_json.frames


def row(flow: dict[str, object]) -> dict[str, object]:
    frames = both({"flow": flow, "node_name": "east/node-7", "time": TIME})
    (only,) = [*frames["verdicts"].to_dicts(), *frames["requests"].to_dicts()]
    return told(only)


def without(found: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in found.items() if name not in names}


def test_packet():
    """One event of one packet, every field by hand; cluster by name, or by label where old."""
    assert row(PACKET) == PACKET_ROW


def test_denied_packet():
    """What was looked up, what it said, and which policies said it."""
    flow = PACKET | {
        "verdict": "DROPPED",
        "event_type": {"type": 5},
        "drop_reason": 133,
        "drop_reason_desc": "POLICY_DENIED",
        "policy_match_type": 2,
        "egress_allowed_by": [
            {"name": "web", "namespace": "shop", "kind": "CiliumNetworkPolicy", "revision": "7"}
        ],
        "ingress_denied_by": [{"name": "lockdown", "kind": "CiliumClusterwideNetworkPolicy"}, {}],
        "egress_denied_by": [{"name": "old", "namespace": "shop"}],
        "trace_observation_point": "UNKNOWN_POINT",
    }
    assert row(flow) == without(PACKET_ROW, "observation_point") | {
        "verdict": "DROPPED",
        "event_type": "policy_verdict",
        "drop_reason": "POLICY_DENIED",
        "policy_match": "l3_l4",
        "allowed_by": ["CiliumNetworkPolicy shop/web"],
        "denied_by": ["shop/old", "CiliumClusterwideNetworkPolicy lockdown"],
    }


@pytest.mark.parametrize(
    ("l4", "expected"),
    [
        ({"UDP": {"source_port": 53, "destination_port": 9}}, (17, 53, 9, None)),
        ({"SCTP": {"source_port": 1, "destination_port": 2}}, (132, 1, 2, None)),
        ({"ICMPv4": {"type": 3, "code": 1}}, (1, None, None, 769)),
        ({"ICMPv4": {}}, (1, None, None, 0)),
        ({"ICMPv6": {"type": 128}}, (58, None, None, 32_768)),
        ({"TCP": {"source_port": 65_535, "destination_port": 65_536}}, (6, 65_535, None, None)),
        ({}, (None, None, None, None)),
    ],
    ids=["udp", "sctp", "icmp", "echo_reply", "icmp6", "no_such_port", "none"],
)
def test_protocols(l4, expected):
    """Ports of the protocols that have them, type and code of ICMP; what is not told is null."""
    found = row(PACKET | {"l4": l4})
    names = ("protocol", "src_port", "dst_port", "icmp_type_code")
    assert tuple(map(found.get, names)) == expected


def test_rest_of_a_packet():
    """IPv6, translation, encryption, interface, proxy port, names and services."""
    found = row(
        PACKET
        | {
            "IP": {
                "source": "fd00::5",
                "destination": "2001:db8::9",
                "source_xlated": "192.0.2.1",
                "encrypted": True,
            },
            "interface": {"index": 7},
            "proxy_port": 12_286,
            "source_names": ["web.example.com"],
            "destination_names": ["card.example.com", "pay.example.com"],
            "destination_service": {"name": "card", "namespace": "pay"},
            "destination": {"identity": 2, "labels": ["reserved:world", "cidr:192.0.2.0/24"]},
            "Type": "SOCK",
        }
    )
    assert found == without(
        PACKET_ROW, "reported_dst_cluster", "reported_dst_namespace", "reported_dst_pod"
    ) | {
        "src_ip_hi": 0xFD00_0000_0000_0000,
        "src_ip_lo": 5,
        "dst_ip_hi": 0x2001_0DB8_0000_0000,
        "dst_ip_lo": 9,
        "post_nat_src_ip_hi": 0,
        "post_nat_src_ip_lo": MAPPED + 0xC0000201,
        "encrypted": True,
        "interface": "7",
        "proxy_port": 12_286,
        "src_names": ["web.example.com"],
        "dst_names": ["card.example.com", "pay.example.com"],
        "dst_service": "pay/card",
        "dst_identity": 2,
        "dst_labels": ["reserved:world", "cidr:192.0.2.0/24"],
    }


def test_reply_is_known_or_not():
    """Old versions tell only that a packet is a reply, never that it is none."""
    assert row(without(PACKET, "is_reply")) == without(PACKET_ROW, "is_reply")
    assert row(without(PACKET, "is_reply") | {"reply": True})["is_reply"] is True
    assert row(PACKET | {"reply": True})["is_reply"] is False


def test_call_is_a_start_and_an_end():
    """REQUEST and RESPONSE of a call: client and server stay who they are."""
    assert row(REQUEST) == START_ROW
    assert row(RESPONSE) == END_ROW


def test_header_left_out_at_the_agent():
    """A value that was left out is not told: nothing follows from it being empty."""
    hidden = [{"key": "User-Agent", "value": ""}, {"key": "X-Request-Id", "value": ""}]
    found = row(REQUEST | {"l7": {"type": "REQUEST", "http": HTTP | {"headers": hidden}}})
    assert found == without(START_ROW, "is_health_check", "request_id", "trace_id")


def test_call_told_by_the_servers_node():
    """INGRESS is told by the server's node; the address that was called is its own."""
    there = ("upstream_remote_ip_hi", "upstream_remote_ip_lo", "upstream_remote_port")
    moved = {name.replace("upstream_remote", "downstream_local"): END_ROW[name] for name in there}
    found = row(RESPONSE | {"traffic_direction": "INGRESS"})
    assert found == without(END_ROW, *there) | moved | {"reporter": "destination"}
    assert row(RESPONSE | {"traffic_direction": 0})["reporter"] == "unknown"


def test_denied_call():
    """The REQUEST says it was denied, and by what; the 403 that went back is just an end."""
    policy = {"name": "l7", "namespace": "pay", "kind": "CiliumNetworkPolicy"}
    denied = row(REQUEST | {"verdict": "DROPPED", "ingress_denied_by": [policy]})
    assert denied == START_ROW | {"authz": "denied", "policy": "CiliumNetworkPolicy pay/l7"}
    answer = RESPONSE | {"l7": {"type": "RESPONSE", "http": HTTP | {"code": 403}}}
    expected = END_ROW | {"start_ns": TIME_NS, "status": 403}
    assert row(answer) == without(expected, "duration_ms")


def test_dns():
    """A question and its answer: the name asked for, the types, and the code by name."""
    asked = {"query": "card.pay.svc.cluster.local.", "qtypes": ["A", "AAAA"]}
    common = without(START_ROW, "is_health_check", "path", "request_id", "trace_id") | {
        "protocol": "DNS",
        "method": "A,AAAA",
        "authority": "card.pay.svc.cluster.local",
    }
    assert row(REQUEST | {"l7": {"type": "REQUEST", "dns": asked}}) == common
    for rcode, name in ((3, "NXDOMAIN"), (0, "NOERROR"), (77, "77")):
        answer = RESPONSE | {"l7": {"type": "RESPONSE", "dns": asked | {"rcode": rcode, "ttl": 30}}}
        assert row(answer) == common | {"log_type": "end", "response_code_details": name}


def test_kafka():
    """A produce request and its error."""
    record = {"api_key": "produce", "topic": "orders", "correlation_id": 4}
    common = without(START_ROW, "is_health_check", "authority", "request_id", "trace_id") | {
        "protocol": "Kafka",
        "method": "produce",
        "path": "orders",
    }
    assert row(REQUEST | {"l7": {"type": "REQUEST", "kafka": record}}) == common
    answer = RESPONSE | {"l7": {"type": "RESPONSE", "kafka": record | {"error_code": -1}}}
    assert row(answer) == common | {"log_type": "end", "response_code_details": "error_code -1"}


def test_numbers_that_have_no_name_here_stay():
    """A drop reason that a newer Cilium has is kept as it is told, never dropped or guessed."""
    by_json = decode(HubbleJson(), {"flow": PACKET | {"drop_reason_desc": 999, "verdict": 9}})
    wire = decode(
        Hubble(), messages.to_wire({"flow": PACKET | {"drop_reason_desc": 999, "verdict": 9}})
    )
    for decoded in (by_json, wire):
        found = decoded.frames["verdicts"].select("drop_reason", "verdict")
        assert found.rows() == [("999", "9")]


def test_lost_events_are_expected_and_not_received():
    """What the kernel or the agent lost is loss, per node; status and agent events are no traffic."""
    lines = [
        {"flow": PACKET, "node_name": "a"},
        {
            "lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "12"},
            "node_name": "a",
        },
        {"lost_events": {"num_events_lost": 3}, "node_name": "b"},
        {"lost_events": {"num_events_lost": str(2**64 - 1)}, "node_name": "c"},
        {"node_status": {"node_names": ["a"]}, "node_name": "b"},
        {"agent_event": {}, "node_name": "a"},
    ]
    both(*lines)
    counts = decode(HubbleJson(), *lines).counts
    names = (
        "decoded_records",
        "ignored_records",
        "sequence_units_expected",
        "sequence_units_received",
    )
    assert counts.select(names).rows() == [(1, 2, 13, 1), (0, 2, 3, 0), (0, 1, 2**40, 0)]


def test_relay_speaks_for_many_nodes():
    """Who saw it is the node that is named; without a name, whoever was asked."""
    lines = [{"flow": PACKET, "node_name": name} for name in ("east/b", "east/a", "east/b")]
    lines.append({"flow": without(PACKET, "node_name"), "time": TIME})
    decoded = decode(HubbleJson(), *lines)
    assert [vantage.source.exporter for vantage in decoded.vantages] == [
        "east/b",
        "east/a",
        "node-1",
    ]
    assert decoded.frames["verdicts"]["vantage"].to_list() == [0, 1, 0, 2]
    assert {vantage.format for vantage in decoded.vantages} == {"hubble_json"}


def test_names_of_nodes_are_bounded(monkeypatch):
    """Who makes up node names gets a vantage of its own for few of them, and none for long ones."""
    monkeypatch.setattr(hubble_events, "_MAX_NODES", 2)
    lines = [{"flow": PACKET, "node_name": name} for name in ("a", "b", "c", "x" * 513, "a")]
    decoded = decode(HubbleJson(), *lines)
    assert [vantage.source.exporter for vantage in decoded.vantages] == ["a", "b", "node-1"]
    assert decoded.frames["verdicts"]["vantage"].to_list() == [0, 1, 2, 2, 0]


def test_flow_alone_on_a_line():
    """Old versions of the command print the flow without what is around it."""
    bare = decode(HubbleJson(), PACKET).frames["verdicts"].to_dicts()
    assert [told(one) for one in bare] == [PACKET_ROW]


def test_json_rejects():
    """Each reason, with what it is about; a line of another shape costs no other."""
    lines: list[bytes | dict[str, object]] = [
        {"flow": without(PACKET, "time")},
        {"flow": PACKET | {"time": "soon"}},
        {"flow": None, "lost_events": None, "node_name": "a"},
        {"flow": PACKET | {"source": "me"}},
        {"flow": PACKET | {"source": {"labels": [["a"]]}}},
        {"flow": PACKET | {"l7": {"http": {"headers": {"key": "a"}}}}},
        b"{",
        b"[]",
        {"flow": PACKET},
    ]
    decoded = decode(HubbleJson(), *lines)
    assert reasons(decoded) == [
        (0, "required_missing", "time"),
        (1, "field_invalid", "time"),
        (2, "required_missing", "flow"),
        (3, "field_invalid", "a value of another shape than its field's"),
        (5, "field_invalid", "a value of another shape than its field's"),
        (6, "json_malformed", "not one JSON value"),
        (7, "json_not_object", "a JSON value, but no object"),
    ]
    assert decoded.frames["verdicts"].height == 2


def test_wire_rejects():
    """No message, a message cut inside of another, one that holds nothing, a flow without a time."""
    whole = messages.to_wire({"flow": PACKET})
    flow = messages.response({"flow": PACKET}).flow.SerializeToString()
    cut = flow[:-3]
    decoded = decode(
        Hubble(),
        b"\xff\xff",
        whole[:-3],
        b"\x0a" + bytes([len(cut) & 127 | 128, len(cut) >> 7]) + cut,
        b"",
        messages.to_wire({"flow": without(PACKET, "time")}),
        whole,
    )
    assert reasons(decoded) == [
        (0, "protobuf_malformed", "GetFlowsResponse"),
        (1, "protobuf_malformed", "GetFlowsResponse"),
        (2, "protobuf_malformed", "GetFlowsResponse"),
        (3, "required_missing", "flow"),
        (4, "required_missing", "time"),
    ]
    assert [told(one) for one in decoded.frames["verdicts"].to_dicts()] == [PACKET_ROW]


CORPUS = {
    "basic-sample-10-flows.json": (10, 0),
    "basic-sample-330-dns-flows.json": (0, 330),
    "basic-sample-400-tcp-flows.json": (335, 65),
    "basic-sample-5-dns-flows.json": (0, 5),
    "basic-sample-5-http-flows.json": (0, 5),
}


@pytest.mark.parametrize("name", CORPUS)
def test_samples(corpus: Path, name: str):
    """Every sample decodes whole, and the same by JSON and by protobuf."""
    lines = [json.loads(line) for line in (corpus / "hubble-otel" / name).read_bytes().splitlines()]
    frames = both(*lines)
    assert (frames["verdicts"].height, frames["requests"].height) == CORPUS[name]


def test_sample_of_everything(corpus: Path):
    """What is in the largest sample, counted by another program (jq) by type."""
    lines = (corpus / "hubble-otel/basic-sample-400-tcp-flows.json").read_bytes().splitlines()
    frames = decode(HubbleJson(), *lines).frames
    by_point = frames["verdicts"].group_by("verdict", "observation_point").len()
    assert sorted(by_point.rows(), key=str) == [
        ("FORWARDED", "TO_ENDPOINT", 117),
        ("FORWARDED", "TO_OVERLAY", 50),
        ("FORWARDED", "TO_PROXY", 111),
        ("FORWARDED", "TO_STACK", 30),
        ("REDIRECTED", None, 27),
    ]
    by_type = frames["requests"].group_by("log_type", "protocol").len()
    assert sorted(by_type.rows()) == [("end", "HTTP/1.1", 32), ("start", "HTTP/1.1", 33)]


def test_sample_of_an_answer(corpus: Path):
    """Prometheus scrapes node-local-dns and gets a 503 after a second: client, server, latency."""
    lines = (corpus / "hubble-otel/basic-sample-5-http-flows.json").read_bytes().splitlines()
    found = decode(HubbleJson(), *lines).frames["requests"].to_dicts()[3]
    assert told(found) == {
        "start_ns": 1_633_357_719_808_360_511,  # 14:28:40.808318870 less 999,958,359 ns
        "reporter": "source",
        "proxy_model": "host",
        "mesh": "cilium",
        "log_type": "end",
        "is_health_check": False,
        "protocol": "HTTP/1.1",
        "method": "GET",
        "authority": "10.156.1.2:9253",
        "path": "/metrics",
        "status": 503,
        "request_id": "e69069f2-fa66-4826-9746-f4b16c89559b",
        "duration_ms": pytest.approx(999.958359),
        "downstream_remote_ip_hi": 0,
        "downstream_remote_ip_lo": MAPPED + 0x0A9C0207,
        "downstream_remote_port": 57468,
        "upstream_remote_ip_hi": 0,
        "upstream_remote_ip_lo": MAPPED + 0x0A9C0102,
        "upstream_remote_port": 9253,
        "reported_src_cluster": "default",
        "reported_src_namespace": "istio-system",
        "reported_src_pod": "prometheus-6655946b9f-6xcpf",
        "reported_dst_namespace": "kube-system",
        "reported_dst_pod": "node-local-dns-r99x7",
    }


WHOLE = messages.to_wire({"flow": PACKET | {"l7": REQUEST["l7"]}, "node_name": "n", "time": TIME})
WORDS = st.text("ab/:.-?{", max_size=8)
FLOWS = st.fixed_dictionaries(
    {"time": st.just(TIME)},
    optional={
        "verdict": st.integers(0, 9),
        "Type": st.sampled_from(["L3_L4", "L7", "SOCK", "UNKNOWN_TYPE"]),
        "IP": st.fixed_dictionaries({}, optional={"source": WORDS, "destination": st.just("::1")}),
        "l4": st.sampled_from([{}, {"ICMPv6": {"code": 300}}, {"UDP": {"source_port": 70_000}}]),
        "source": st.fixed_dictionaries(
            {},
            optional={"identity": st.integers(0, 2**32 - 1), "labels": st.lists(WORDS, max_size=3)},
        ),
        "l7": st.fixed_dictionaries(
            {},
            optional={
                "type": st.integers(0, 4),
                "latency_ns": st.integers(0, 2**64 - 1).map(str),
                "http": st.fixed_dictionaries(
                    {},
                    optional={
                        "code": st.integers(0, 70_000),
                        "url": WORDS,
                        "headers": st.lists(
                            st.fixed_dictionaries(
                                {},
                                optional={
                                    "key": st.sampled_from(["X-Request-ID", "grpc-status", "a"]),
                                    "value": WORDS,
                                },
                            ),
                            max_size=3,
                        ),
                    },
                ),
            },
        ),
        "is_reply": st.booleans(),
        "traffic_direction": st.integers(0, 3),
        "event_type": st.fixed_dictionaries({"type": st.integers(0, 7)}),
        "policy_match_type": st.integers(0, 8),
        "egress_denied_by": st.lists(
            st.fixed_dictionaries({}, optional={"name": WORDS, "namespace": WORDS}), max_size=2
        ),
        "interface": st.fixed_dictionaries(
            {}, optional={"name": WORDS, "index": st.integers(0, 9)}
        ),
    },
)


@settings(max_examples=25, deadline=None)
@given(st.lists(FLOWS, min_size=1, max_size=5))
def test_json_and_protobuf_mean_the_same(flows):
    """Whatever a flow holds, both ways of writing it give the same rows."""
    wires = [messages.to_wire({"flow": flow}) for flow in flows]
    both(*(json.loads(messages.to_json(wire)) for wire in wires))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 4), st.binary(max_size=4)).map(
            lambda cut: WHOLE[: cut[0]] + cut[2] + WHOLE[cut[0] + cut[1] :]
        ),
        max_size=6,
    )
)
def test_any_bytes_are_rows_or_rejects(payloads_):
    """Nothing a peer can send raises, or costs another response its row."""
    decoded = decode(Hubble(), *payloads_, messages.to_wire({"flow": PACKET}))
    assert told(decoded.frames["verdicts"].to_dicts()[-1]) == PACKET_ROW


KEYS = st.sampled_from(sorted([*PACKET, *CLIENT, "http", "l7"]))
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
INNER = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(KEYS, LEAVES, max_size=3)
VALUES = INNER | st.lists(INNER, max_size=2) | st.dictionaries(KEYS, INNER, max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | VALUES.map(lambda flow: json.dumps({"flow": flow}).encode()),
        max_size=6,
    )
)
def test_any_lines_are_rows_or_rejects(lines):
    """Nothing a line can hold raises, or costs another line its row."""
    decoded = decode(HubbleJson(), *lines, {"flow": PACKET})
    assert told(decoded.frames["verdicts"].to_dicts()[-1]) == PACKET_ROW


def test_nothing_at_all():
    """No payloads, no rows, no counts; and nothing is remembered."""
    for decoder in (HubbleJson(), Hubble()):
        decoded = decoder.decode(payloads([]))
        assert [frame.height for frame in decoded.frames.values()] == [0, 0]
        assert decoder.snapshot(SOURCES[0].place) == b""
