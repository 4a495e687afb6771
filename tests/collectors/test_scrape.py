"""Scrapes over real sockets: what is shipped, what is counted, and that nothing waits for a bad target."""

import asyncio
import gzip
import json
import os
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors import scrape
from collectors.batch import Batcher
from collectors.config import (
    AgentFile,
    BatchConfig,
    ConfigError,
    IstiodInput,
    PrometheusInput,
    Target,
    decode_toml,
)
from collectors.envelope import Envelope, Header
from collectors.errors import InputError
from collectors.http_get import GetError, Place, get
from collectors.ship import Parcel

TEXT = b'envoy_server_live{} 1\nenvoy_cluster_membership_healthy{envoy_cluster_name="a"} 2\n'
ZIPPED = gzip.compress(TEXT)
OK = b"HTTP/1.1 200 OK\r\n"

ANSWERS: dict[str, bytes] = {
    "/length": OK + b"Content-Length: %d\r\n\r\n" % len(TEXT) + TEXT + b"never read",
    "/end": OK + b"\r\n" + TEXT,
    "/chunked": OK
    + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n"
    + TEXT[:5]
    + b"\r\n%x\r\n" % (len(TEXT) - 5)
    + TEXT[5:]
    + b"\r\n0\r\n\r\n",
    "/gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
    "/empty": OK + b"Content-Length: 0\r\n\r\n",
    "/503": b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n",
    "/redirect": b"HTTP/1.1 302 go\r\nLocation: /length\r\nContent-Length: 0\r\n\r\n",
    "/large": OK + b"Content-Length: 99999999\r\n\r\n",
    "/large-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    "/large-end": OK + b"\r\n" + b"x" * 70_000,
    "/bomb": OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"0" * 10_000_000),
    "/cut": OK + b"Content-Length: 50\r\n\r\nshort",
    "/cut-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nshort",
    "/cut-gzip": OK + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED[:-9],
    "/no-gzip": OK + b"Content-Encoding: gzip\r\n\r\n" + TEXT,
    "/bad-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "/bad-length": OK + b"Content-Length: many\r\n\r\n",
    "/negative": OK + b"Content-Length: -5\r\n\r\n",
    "/not-http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "/nothing": b"",
    "/head-without-end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
}


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers as `ANSWERS` has it, and remembers what it was asked."""

    allow_reuse_address = True
    daemon_threads = True
    asked: list[bytes]


class Handler(socketserver.BaseRequestHandler):
    """One request of a `Server`."""

    def handle(self) -> None:
        """Answer by path."""
        request = b""
        while b"\r\n\r\n" not in request:
            part = self.request.recv(65_536)
            if not part:
                return
            request += part
        self.server.asked.append(request)
        path = request.split(b" ", 2)[1].decode().partition("?")[0]
        if path.startswith("/drip"):  # a byte at a time: no read of it ever times out
            try:
                for byte in OK + b"X: " + b"y" * 1_000:
                    self.request.sendall(bytes([byte]))
                    time.sleep(0.02)
            except OSError:
                return
        self.request.sendall(ANSWERS.get(path, ANSWERS["/length"]))


@contextmanager
def serve(server: Any) -> Iterator[Any]:
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(Server(("127.0.0.1", 0), Handler)) as running:
        yield running


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def fetch(address: str, **settings: Any) -> bytes:
    given = {"timeout_s": 5.0, "max_bytes": 60_000} | settings
    return asyncio.run(get(Place.of(address), {"Accept": "text/plain"}, **given))


@pytest.mark.parametrize("path", ["/length", "/end", "/chunked", "/gzip"])
def test_an_answer_is_read_however_it_is_framed(server: Server, path: str):
    """By length, by chunks, to its end, and unpacked: the same bytes."""
    assert fetch(url(server, path)) == TEXT


def test_what_is_asked(server: Server):
    """One GET with the query, the host as the URL has it, gzip welcome, one request a connection."""
    fetch(url(server, "/stats/prometheus?usedonly&filter=ssl"))
    lines = server.asked[0].decode().split("\r\n")
    assert lines[0] == "GET /stats/prometheus?usedonly&filter=ssl HTTP/1.1"
    port = server.server_address[1]
    assert {f"Host: 127.0.0.1:{port}", "Accept-Encoding: gzip", "Connection: close"} <= set(lines)


REASONS = {
    "/503": "scrape_status",
    "/redirect": "scrape_status",
    "/large": "scrape_too_large",
    "/large-chunk": "scrape_too_large",
    "/large-end": "scrape_too_large",
    "/bomb": "scrape_too_large",
    "/cut": "scrape_malformed",
    "/cut-chunk": "scrape_malformed",
    "/cut-gzip": "scrape_malformed",
    "/no-gzip": "scrape_malformed",
    "/bad-chunk": "scrape_malformed",
    "/bad-length": "scrape_malformed",
    "/negative": "scrape_malformed",
    "/not-http": "scrape_malformed",
    "/nothing": "scrape_malformed",
    "/head-without-end": "scrape_malformed",
    "/drip": "scrape_timeout",
}


@pytest.mark.parametrize("path", REASONS)
def test_every_bad_answer_has_its_reason(server: Server, path: str):
    """Whatever a server does, the question ends in time, in bounded memory, with one reason."""
    with pytest.raises(GetError) as told:
        fetch(url(server, path), timeout_s=0.4 if path == "/drip" else 5.0)
    assert told.value.reason == REASONS[path]


def test_nobody_there_is_refused(tmp_path: Path):
    """A closed port, a socket that is not there, a host that is none."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        closed = bound.getsockname()[1]
    for address in (f"http://127.0.0.1:{closed}/", f"unix:{tmp_path}/none.sock:/stats"):
        with pytest.raises(GetError, match="scrape_refused"):
            fetch(address)


class Ships:
    """Takes envelopes, as a `Shipper` whose queue has room for ``room`` of them."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.envelopes: list[Envelope] = []

    def offer(self, parcel: Parcel) -> bool:
        """See `Shipper.offer`."""
        if len(self.envelopes) >= self.room:
            return False
        self.envelopes.append(parcel.envelope)
        return True

    def rows(self) -> list[tuple[str, bytes]]:
        """Exporter and payload of all that was taken."""
        return [
            (row["exporter"], row["payload"])
            for envelope in self.envelopes
            for row in envelope.payloads.to_pylist()
        ]


def run_until(
    config: PrometheusInput | IstiodInput,
    enough: Callable[[Ships, Batcher], bool],
    ships: Ships | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[Ships, Batcher]:
    """Run an input until what it did is enough; 20 s at most."""
    taker = ships or Ships()
    kind = "istiod" if isinstance(config, IstiodInput) else "prometheus"
    batcher = Batcher(Header("a", "east", "net", kind), BatchConfig(max_age_ms=50))
    stop = threading.Event()
    runner = scrape.scrape_istiod if kind == "istiod" else scrape.scrape
    errors: list[BaseException] = []

    def work() -> None:
        try:
            runner(config, batcher, taker, stop)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 raised again below
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    limit = time.monotonic() + 20
    try:
        while not enough(taker, batcher) and time.monotonic() < limit and thread.is_alive():
            if meanwhile is not None:
                meanwhile()
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]
    assert enough(taker, batcher)
    return taker, batcher


def test_targets_are_asked_again_and_again_by_name(server: Server):
    """Each answer is a payload, untouched; the exporter is the name, else the URL without query."""
    config = PrometheusInput(
        targets=(
            Target(url=url(server, "/length"), name="reviews-1"),
            Target(url=url(server, "/gzip?usedonly")),
        ),
        interval_s=0.1,
    )
    ships, batcher = run_until(config, lambda ships, _: len(ships.rows()) >= 6)
    port = server.server_address[1]
    assert set(ships.rows()) == {("reviews-1", TEXT), (f"127.0.0.1:{port}/gzip", TEXT)}
    assert batcher.received == len(ships.rows())
    assert batcher.lost == {}


def test_bad_targets_hold_up_nobody_and_are_counted(server: Server):
    """Of five targets four fail, each in its way; the fifth is asked at its interval all the same."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        closed = bound.getsockname()[1]
    urls = [url(server, path) for path in ("/drip", "/503", "/large", "/length")]
    config = PrometheusInput(
        targets=(*(Target(url=one) for one in urls), Target(url=f"http://127.0.0.1:{closed}/")),
        interval_s=0.1,
        timeout_s=0.5,
        max_bytes=50_000,
    )
    reasons = {"scrape_timeout", "scrape_status", "scrape_too_large", "scrape_refused"}
    ships, batcher = run_until(
        config, lambda ships, batcher: set(batcher.lost) == reasons and len(ships.rows()) >= 4
    )
    assert {payload for _, payload in ships.rows()} == {TEXT}
    told = sum(sum(envelope.header.dropped.values()) for envelope in ships.envelopes)
    assert told == batcher.lost.total() > 3
    assert batcher.received == told + len(ships.rows())


def test_a_full_queue_is_counted_and_not_waited_for(server: Server):
    """What the queue has no room for is lost as queue_full, and its numbers are given again."""
    config = PrometheusInput(targets=(Target(url=url(server, "/length")),), interval_s=0.1)
    ships = Ships(room=1)
    _, batcher = run_until(config, lambda _, batcher: batcher.lost["queue_full"] >= 2, ships)
    assert batcher.sequence == len(ships.rows())


def test_istiods_endpoints_are_asked_each_by_its_path(server: Server):
    """One target, three endpoints: the exporter names target and endpoint."""
    config = IstiodInput(targets=(Target(url=url(server, ""), name="istiod-1"),), interval_s=0.1)
    ships, _ = run_until(config, lambda ships, _: len({name for name, _ in ships.rows()}) == 3)
    assert {name for name, _ in ships.rows()} == {
        "istiod-1/debug/syncz",
        "istiod-1/debug/clusterz",
        "istiod-1/debug/endpointShardz",
    }
    assert {request.split(b" ")[1] for request in server.asked} == {
        b"/debug/syncz",
        b"/debug/clusterz",
        b"/debug/endpointShardz",
    }


def test_the_file_of_targets_is_read_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A pod that comes is asked, one that is gone is not; a file that is broken changes nothing."""
    monkeypatch.setattr(scrape, "_FILE_LOOK_S", 0.1)
    file = tmp_path / "targets.json"
    host = f"127.0.0.1:{server.server_address[1]}"

    def write(name: str) -> None:
        labels = {"__metrics_path__": "/length", "instance": name}
        file.write_text(json.dumps([{"targets": [host], "labels": labels}]))

    write("first")
    steps = iter(
        (
            lambda ships: ("first", TEXT) in ships.rows() and (write("second-pod") or True),
            lambda ships: ("second-pod", TEXT) in ships.rows() and (file.write_text("[{") or True),
        )
    )
    step = next(steps)
    seen_at_break = 0

    def enough(ships: Ships, _: Batcher) -> bool:
        nonlocal step, seen_at_break
        if step is None:
            return len(ships.rows()) > seen_at_break + 3
        if step(ships):
            step = next(steps, None)
            seen_at_break = len(ships.rows())
        return False

    config = PrometheusInput(targets_file=str(file), interval_s=0.1)
    ships, batcher = run_until(config, enough)
    names = [name for name, _ in ships.rows()]
    assert names == sorted(names)  # the first, and from then on only the second
    assert set(names[-3:]) == {"second-pod"}
    assert batcher.lost == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "array"),
        ('[{"labels": {}}]', "targets"),
        ('[{"targets": ["ftp://x/"]}]', "regex"),
        ('[{"targets": ["a b:1"]}]', "regex"),
    ],
)
def test_a_file_of_targets_that_is_none_says_why(tmp_path: Path, text: str, message: str):
    """The error names what was expected."""
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(Exception, match=message):
        scrape.read_targets(tmp_path / "t.json")


def test_a_bearer_token_is_read_each_time(server: Server, tmp_path: Path):
    """A token that is renewed is sent from then on."""
    token = tmp_path / "token"
    token.write_text("one\n")
    config = PrometheusInput(
        targets=(Target(url=url(server, "/length")),),
        interval_s=0.1,
        bearer_token_file=str(token),
    )

    def enough(ships: Ships, _: Batcher) -> bool:
        if ships.rows():
            token.write_text("two")
        return any(b"Authorization: Bearer two\r\n" in request for request in server.asked)

    run_until(config, enough)
    assert b"Authorization: Bearer one\r\n" in server.asked[0]


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A `Server` on a socket file."""

    daemon_threads = True


def test_a_unix_socket_is_a_target(tmp_path: Path):
    """Envoy's admin on a socket file, with path and query."""
    path = tmp_path / "admin.sock"
    with serve(UnixServer(str(path), Handler)) as server:
        assert fetch(f"unix:{path}:/gzip?usedonly") == TEXT
        assert server.asked[0].startswith(b"GET /gzip?usedonly HTTP/1.1\r\nHost: localhost\r\n")


def test_tls_trusts_only_whom_it_is_told(tmp_path: Path):
    """With the authority of the server's certificate an answer, without it scrape_tls."""
    import ssl  # noqa: PLC0415

    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=istiod",
            "-addext",
            "subjectAltName=DNS:istiod.istio-system.svc",
            "-keyout",
            str(key),
            "-out",
            str(cert),
            "-days",
            "2",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    class TlsServer(Server):
        def get_request(self) -> tuple[Any, Any]:
            connection, peer = super().get_request()
            return context.wrap_socket(connection, server_side=True), peer

        def handle_error(self, *_: object) -> None:
            """A client that does not trust us."""

    with serve(TlsServer(("127.0.0.1", 0), Handler)) as server:
        address = url(server, "/length").replace("http:", "https:")
        trusted = PrometheusInput(
            targets=(Target(url=address, name="t"),),
            interval_s=0.1,
            tls_ca_file=str(cert),
            tls_server_name="istiod.istio-system.svc",
        )
        ships, batcher = run_until(trusted, lambda ships, _: bool(ships.rows()))
        assert ships.rows()[0] == ("t", TEXT)
        assert batcher.lost == {}
        distrusted = PrometheusInput(targets=trusted.targets, interval_s=0.1)
        ships, _ = run_until(distrusted, lambda _, batcher: batcher.lost["scrape_tls"] > 0)
        assert ships.rows() == []


def test_a_file_of_tls_that_is_not_there_ends_the_agent():
    """It is told at the start, with the key to set."""
    config = PrometheusInput(targets=(Target(url="http://127.0.0.1:1/"),), tls_ca_file="/no/ca.pem")
    with pytest.raises(InputError, match="tls_ca_file"):
        run_until(config, lambda *_: False)


AGENT = """
[[agents]]
name = "a"
cluster = "east"
network = "net"
[[agents.inputs]]
type = "{kind}"
{keys}
"""


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("prometheus", "", "targets: name at least one"),
        ("prometheus", 'targets = [{url = "10.0.0.1:9090"}]', "regex"),
        ("prometheus", 'targets = [{url = "http://user:secret@host/"}]', "regex"),
        ("prometheus", 'targets = [{url = "http://h/"}]\ninterval_s = 0.01', "interval_s"),
        ("istiod", 'targets = [{url = "http://h/"}]\nendpoints = ["configz"]', "endpoints"),
    ],
)
def test_a_wrong_configuration_names_the_key(kind: str, keys: str, message: str):
    """What is not allowed is told before anything runs."""
    with pytest.raises(ConfigError, match=message):
        decode_toml(AGENT.format(kind=kind, keys=keys).encode(), AgentFile)


def test_a_configuration_as_documented():
    """Targets with and without a name, over TCP and a socket file."""
    keys = """targets = [
      {url = "http://10.0.0.5:15090/stats/prometheus?usedonly", name = "sidecar~10.0.0.5~a.b~b"},
      {url = "unix:/run/envoy/admin.sock:/stats/prometheus"},
    ]
    mesh = "istio" """
    (agent,) = decode_toml(AGENT.format(kind="prometheus", keys=keys).encode(), AgentFile).agents
    (one,) = agent.inputs
    assert isinstance(one, PrometheusInput)
    assert [target.name for target in one.targets] == ["sidecar~10.0.0.5~a.b~b", ""]
    assert (one.interval_s, one.timeout_s, one.mesh) == (15.0, 10.0, "istio")
    assert os.path.basename(Place.of(one.targets[1].url).socket) == "admin.sock"  # noqa: PTH119
