"""
Access log lines to rows, one core: Istio's JSON and text, and a declared format.

Beside a loop that reads each line into a dict with Python's own means, and
makes nothing of it.
"""

import json
import re

import numpy as np
import pyarrow as pa

from bench.measure import alternate, report
from collectors.log import Place
from pipeline.decode import Declared, Payloads, Source
from pipeline.decode.access_log import AccessLog

_LINES = 50_000
_PLACE = Place("crosspane.v1.proxy.bench", 0)
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/103.0"
_FORMAT = (
    "%START_TIME(%s.%6f)%\t%REQ(:METHOD)%\t%REQ(:PATH)%\t%RESPONSE_CODE%\t%RESPONSE_FLAGS%\t"
    "%DURATION%\t%REQ(X-REQUEST-ID)%\t%UPSTREAM_CLUSTER%\t%UPSTREAM_HOST%\t%REQ(USER-AGENT)%"
)


def fields(number: int) -> dict[str, object]:
    """Keys of Istio's JSON log, some of them different in each line."""
    return {
        "start_time": f"2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}.678Z",
        "method": "GET",
        "path": f"/reviews/{number}",
        "protocol": "HTTP/1.1",
        "response_code": 200 if number % 50 else 503,
        "response_flags": "-" if number % 50 else "URX,UF",
        "response_code_details": "via_upstream",
        "connection_termination_details": None,
        "upstream_transport_failure_reason": None,
        "bytes_received": 0,
        "bytes_sent": number % 5_000,
        "duration": number % 90,
        "upstream_service_time": str(number % 80),
        "x_forwarded_for": None,
        "user_agent": _AGENT,
        "request_id": f"785918d6-06b6-9312-bf77-{number:012}",
        "authority": "reviews:9080",
        "upstream_host": f"10.68.{number % 40}.{number % 250}:9080",
        "upstream_cluster": f"outbound|9080|v{number % 3}|reviews-{number % 40}.shop.svc",
        "upstream_local_address": f"10.68.2.10:{30_000 + number % 30_000}",
        "downstream_local_address": "10.96.0.7:9080",
        "downstream_remote_address": f"10.68.2.10:{30_000 + number * 7 % 30_000}",
        "requested_server_name": None,
        "route_name": "default",
    }


def text(line: dict[str, object]) -> str:
    """The same as Istio's text."""
    told = {key: "-" if value is None else value for key, value in line.items()}
    return (
        '[{start_time}] "{method} {path} {protocol}" {response_code} {response_flags}'
        " {response_code_details} {connection_termination_details}"
        ' "{upstream_transport_failure_reason}" {bytes_received} {bytes_sent} {duration}'
        ' {upstream_service_time} "{x_forwarded_for}" "{user_agent}" "{request_id}" "{authority}"'
        ' "{upstream_host}" {upstream_cluster} {upstream_local_address} {downstream_local_address}'
        " {downstream_remote_address} {requested_server_name} {route_name}"
    ).format(**told)


def tabs(line: dict[str, object]) -> str:
    """The same in the format that is declared."""
    return (
        "1767323045.678000\t{method}\t{path}\t{response_code}\t{response_flags}\t{duration}\t"
        "{request_id}\t{upstream_cluster}\t{upstream_host}\t{user_agent}"
    ).format(**line)


def payloads(lines: list[str], declared: str = "") -> Payloads:
    """Lines of one proxy."""
    return Payloads(
        sources=[Source(_PLACE, "bench", "c", "n", "proxy", Declared(declared))],
        source=np.zeros(len(lines), np.int32),
        received_ns=np.full(len(lines), 1_767_323_046_000_000_000, np.int64),
        payload=pa.array([line.encode() for line in lines], pa.binary()),
    )


def main() -> None:
    """Print the comparison."""
    every = [fields(number) for number in range(_LINES)]
    as_json, as_text = [json.dumps(line) for line in every], [text(line) for line in every]
    batches = {
        "crosspane, Istio's JSON": payloads(as_json),
        "crosspane, Istio's text": payloads(as_text),
        "crosspane, 10 fields declared": payloads([tabs(line) for line in every], _FORMAT),
    }
    expression = re.compile(
        r'\[(\S+)\] "(\S+) (\S+) (\S+)" (\S+) (\S+) (\S+) (\S+) "([^"]*)" (\S+) (\S+) (\S+) (\S+)'
        r' "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)'
    )

    def decode(batch: Payloads) -> None:
        assert AccessLog().decode(batch).frames["requests"].height == _LINES  # noqa: S101

    def by_json() -> None:
        assert all(json.loads(line)["method"] for line in as_json)  # noqa: S101

    def by_expression() -> None:
        for line in as_text:
            found = expression.fullmatch(line)
            assert found is not None  # noqa: S101
            found.groups()

    ours = {name: (_LINES, lambda batch=batch: decode(batch)) for name, batch in batches.items()}
    report(
        "access log: lines to rows",
        alternate(
            ours
            | {
                "Python's json, to dicts": (_LINES, by_json),
                "Python's re, to tuples": (_LINES, by_expression),
            }
        ),
    )
