"""Probes of real listeners: TCP, TLS and HTTP that answer, refuse, cut, hang, or show the wrong certificate."""

import asyncio
import contextlib
import errno
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority

from collectors import probe_answer
from collectors.batch import Batcher
from collectors.config import (
    AgentFile,
    BatchConfig,
    ConfigError,
    ProbeInput,
    ProbeTarget,
    decode_toml,
)
from collectors.envelope import Envelope, Header
from collectors.errors import InputError
from collectors.probe import probe
from collectors.probe_answer import Answers
from collectors.probe_attempt import Attempt, attempt, tls_context
from collectors.ship import Parcel

ID = "spiffe://cluster.local/ns/shop/sa/reviews"
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Files:
    """Authorities, and what they signed."""

    def __init__(self, folder: Path) -> None:
        ours, other = Authority(folder / "ours", "root"), Authority(folder / "other", "root")
        self.ca, self.other_ca = ours.cert, other.cert
        self.good = ours.issue("good", f"DNS:localhost,IP:127.0.0.1,URI:{ID}")
        self.expired = ours.issue("expired", "IP:127.0.0.1", days=-1)
        self.elsewhere = ours.issue("elsewhere", "DNS:elsewhere.example")
        self.spiffe = ours.issue("spiffe", f"URI:{ID}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certs"))


def der(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text())


def tried(
    peer: Peer | ProbeInput, number: int = 1, /, *, tls: Any = None, **target: Any
) -> Attempt:
    """What one try of a listener finds; ``{port}`` in address and url is its."""

    async def run() -> Attempt:
        if isinstance(peer, ProbeInput):
            answers = Answers(peer)
            await answers.start()
            port, close = answers.port, answers.close
        else:
            port, close = await serving(peer, tls)

        try:
            filled = {
                key: value.format(port=port) if key in ("address", "url") else value
                for key, value in target.items()
            }
            return await once(number, **filled)
        finally:
            await close()

    return asyncio.run(run())


async def serving(peer: Peer, tls: Any) -> tuple[int, Callable[[], Awaitable[None]]]:
    """Let ``peer`` answer: its port, and what ends it and whom it talks to."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await peer(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)

    async def close() -> None:
        server.close()
        await asyncio.sleep(0.01)  # what was cut is heard of
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)

    return server.sockets[0].getsockname()[1], close


async def once(number: int = 1, **target: Any) -> Attempt:
    one = ProbeTarget(**{"name": "t", "interval_s": 3_600, "timeout_s": 10, **target})
    return await attempt(one, tls_context(one) if one.tls() else None, number)


def steps(done: Attempt) -> list[str]:
    """Steps that have a duration; all of them within the total."""
    names = ("resolve_ms", "connect_ms", "tls_ms", "first_byte_ms")
    taken = {name: value for name in names if (value := getattr(done, name)) is not None}
    assert done.total_ms is not None
    assert 0 <= sum(taken.values()) <= done.total_ms
    return list(taken)


def server_tls(issued: Any, client_ca: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes, and say nothing."""
    while await reader.read(1_000):
        pass
    writer.close()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1_000)
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(answer: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return peer


ANSWERING = ProbeInput(listen="127.0.0.1:0")


def test_a_connection_is_resolved_and_connected():
    """A name costs a look-up, an address none; who was reached is told."""
    done = tried(ANSWERING, kind="tcp", address="127.0.0.1:{port}")
    assert (done.outcome, done.error, done.kind) == ("ok", None, "tcp")
    assert steps(done) == ["connect_ms"]
    assert done.peer == done.address
    named = tried(ANSWERING, kind="tcp", address="localhost:{port}")
    assert steps(named) == ["resolve_ms", "connect_ms"]
    assert named.address.startswith("localhost:")
    assert named.peer == "127.0.0.1:" + named.address.partition(":")[2]


def test_agents_answer_each_other():
    """What was sent comes back; HTTP gets 204; both are the same port."""
    echoed = tried(ANSWERING, kind="tcp", address="127.0.0.1:{port}", echo=True)
    assert (echoed.outcome, steps(echoed)) == ("ok", ["connect_ms", "first_byte_ms"])
    answered = tried(ANSWERING, kind="http", url="http://127.0.0.1:{port}/a?key=secret")
    assert (answered.outcome, answered.status) == ("ok", 204)
    assert steps(answered) == ["connect_ms", "first_byte_ms"]
    assert answered.address.endswith("/a")


def test_agents_answer_each_other_by_ipv6():
    """'[::]:0' takes both families."""
    both = ProbeInput(listen="[::]:0")
    assert tried(both, kind="tcp", address="[::1]:{port}", echo=True).peer.startswith("[::1]:")  # type: ignore[union-attr]
    assert tried(both, kind="tcp", address="127.0.0.1:{port}", echo=True).outcome == "ok"


def test_agents_answer_each_other_by_mutual_tls(files: Files):
    """With the client's certificate it is ok; without, the server's refusal is heard after the handshake."""
    answering = ProbeInput(
        listen="127.0.0.1:0", listen_cert_file=files.good.both, listen_client_ca_file=files.ca
    )
    shown = {"tls_ca_file": files.ca, "tls_cert_file": files.good.both}
    for target in ({"kind": "tls", "echo": True}, {"kind": "tls"}):
        done = tried(answering, address="127.0.0.1:{port}", **target, **shown)
        assert (done.outcome, done.error, done.tls_version) == ("ok", None, "TLSv1.3")
    asked = tried(answering, kind="http", url="https://127.0.0.1:{port}/", **shown)
    assert (asked.outcome, asked.status) == ("ok", 204)
    assert steps(asked) == ["connect_ms", "tls_ms", "first_byte_ms"]
    bare = tried(answering, kind="tls", address="127.0.0.1:{port}", tls_ca_file=files.ca)
    assert (bare.outcome, bare.error) == ("reset", "closed after the handshake")


def test_a_server_that_refuses_our_certificate_is_heard(files: Files):
    """By TLS 1.3 its alert comes after the handshake; the handshake's time is told all the same."""
    context = server_tls(files.good, files.ca)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken, pytest.raises(ssl.SSLError):
                context.wrap_socket(taken, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        refused = asyncio.run(once(kind="tls", address=address, tls_ca_file=files.ca))
        thread.join()
    assert refused.outcome == "tls_failed"
    assert "certificate required" in (refused.error or "").replace("_", " ").lower()
    assert steps(refused) == ["connect_ms", "tls_ms"]


@pytest.mark.parametrize(
    ("issued", "target", "outcome"),
    [
        ("good", {}, "ok"),
        ("good", {"identity": ID}, "ok"),
        ("good", {"identity": "spiffe://cluster.local/ns/shop/sa/cart"}, "name_mismatch"),
        ("good", {"server_name": "other.example"}, "name_mismatch"),
        ("good", {"server_name": "other.example", "verify": "chain"}, "ok"),
        ("good", {"tls_ca_file": "other"}, "certificate_untrusted"),
        ("good", {"tls_ca_file": "other", "verify": "nothing"}, "ok"),
        ("expired", {}, "certificate_expired"),
        ("expired", {"verify": "nothing"}, "ok"),
        ("elsewhere", {}, "name_mismatch"),
        ("spiffe", {}, "name_mismatch"),
        ("spiffe", {"identity": ID}, "ok"),
    ],
)
def test_certificates_are_judged_and_shown(
    files: Files, issued: str, target: dict[str, Any], outcome: str
):
    """Whether trusted, in time, and of whom; the certificate is told whatever the verdict."""
    one = getattr(files, issued)
    trusted = files.other_ca if target.get("tls_ca_file") else files.ca
    done = tried(
        silent,
        tls=server_tls(one),
        kind="tls",
        address="127.0.0.1:{port}",
        **target | {"tls_ca_file": trusted},
    )
    assert done.outcome == outcome
    assert (done.error is None) == (outcome == "ok")
    assert done.certificate is not None
    assert ssl.PEM_cert_to_DER_cert(
        f"-----BEGIN CERTIFICATE-----\n{done.certificate}\n-----END CERTIFICATE-----\n"
    ) == der(one.cert)


def test_server_name_and_protocols_are_those_an_istio_gateway_selects_by(files: Files):
    """SNI with underscores, as east-west gateways want it, and ALPN."""
    seen: list[object] = []
    tls = server_tls(files.spiffe)
    tls.sni_callback = lambda _, name, __: seen.append(name)
    tls.set_alpn_protocols(["istio"])

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await silent(reader, writer)

    name = "outbound_.8080_._.reviews.shop.svc.cluster.local"
    done = tried(
        peer,
        tls=tls,
        kind="tls",
        address="127.0.0.1:{port}",
        tls_ca_file=files.ca,
        server_name=name,
        alpn=("istio",),
        identity=ID,
    )
    assert (done.outcome, done.server_name) == ("ok", name)
    assert seen == [name, "istio"]
    seen.clear()
    bare = tried(
        peer, tls=tls, kind="tls", address="127.0.0.1:{port}", tls_ca_file=files.ca, identity=ID
    )
    assert (bare.outcome, bare.server_name, seen) == ("ok", None, [None, None])


@pytest.mark.parametrize(
    ("peer", "target", "outcome"),
    [
        (resets, {"kind": "http"}, "reset"),
        (resets, {"kind": "tls"}, "reset"),
        (resets, {"kind": "tcp", "echo": True}, "reset"),
        (hangs_up, {"kind": "http"}, "reset"),
        (hangs_up, {"kind": "tls"}, "reset"),
        (hangs_up, {"kind": "tcp", "echo": True}, "reset"),
        (says(b"SSH-2.0-x\r\n\r\n"), {"kind": "http"}, "other"),
        (says(b"HTTP/1.1 2\r\n\r\n"), {"kind": "http"}, "other"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000), {"kind": "http"}, "other"),
        (says(b"HTTP/1.1 200 OK\r\nX: cut"), {"kind": "http"}, "reset"),
        (says(b"HTTP/1.1 503 no\r\n\r\n"), {"kind": "http"}, "status_unexpected"),
        (says(b"HTTP/1.1 503 no\r\n\r\n"), {"kind": "http", "status": (503,)}, "ok"),
        (says(b"HTTP/1.0 301 go\r\n\r\n"), {"kind": "http"}, "ok"),
        (ANSWERING, {"kind": "tls"}, "tls_failed"),
    ],
)
def test_each_failure_has_its_outcome(
    peer: Peer | ProbeInput, target: dict[str, Any], outcome: str
):
    """After the connection stands, what the peer does decides."""
    is_http = target["kind"] == "http"
    where = {"url": "http://127.0.0.1:{port}/"} if is_http else {"address": "127.0.0.1:{port}"}
    done = tried(peer, **where, **target)
    assert done.outcome == outcome
    assert "connect_ms" in steps(done)
    assert (done.error is None) == (outcome == "ok")


@pytest.mark.parametrize(
    ("target", "step"),
    [
        ({"kind": "http", "url": "http://127.0.0.1:{port}/"}, "waits for the answer"),
        ({"kind": "tls", "address": "127.0.0.1:{port}"}, "handshake"),
    ],
)
def test_silence_is_a_timeout_at_its_step(target: dict[str, Any], step: str):
    """Bounded by timeout_s, wherever it stands."""
    done = tried(silent, timeout_s=0.5, **target)
    assert (done.outcome, done.error) == ("timeout", f"no end in 0.5 s: {step}")
    assert done.tls_ms is None


def test_a_port_nobody_listens_at_refuses():
    """At once, without a connection."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = asyncio.run(once(kind="tcp", address=f"127.0.0.1:{unused.getsockname()[1]}"))
    assert (done.outcome, steps(done)) == ("refused", [])


def test_an_address_that_swallows_packets_is_a_timeout():
    """A full backlog drops SYNs, as a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        done = asyncio.run(
            once(kind="tcp", address=f"127.0.0.1:{full.getsockname()[1]}", timeout_s=0.2)
        )
        for one in waiting:
            one.close()
    assert (done.outcome, done.error) == ("timeout", "no end in 0.2 s: not connected")


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.EPERM, "other"),
    ],
)
def test_what_the_kernel_says_of_a_way_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, number: int, outcome: str
):
    """No route, nobody at the other end of the link, no answer; a local rule is neither."""

    async def fails(*_: object) -> None:
        raise OSError(number, "as the kernel says")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", fails)
    done = asyncio.run(once(kind="tcp", address="127.0.0.1:9"))
    assert (done.outcome, done.peer, steps(done)) == (outcome, "127.0.0.1:9", [])


@pytest.mark.parametrize("host", ["no.such.name.invalid", f"{'a' * 64}.invalid"])
def test_a_name_without_address_is_unknown(host: str):
    """Also one that no name can be."""
    done = asyncio.run(once(kind="tcp", address=f"{host}:80"))
    assert (done.outcome, done.peer, steps(done)) == ("name_unknown", None, [])


def test_tries_go_round_the_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch):
    """The third try of a name with two addresses takes the first again."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{host}", 1)) for host in (2, 3)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    peers = [asyncio.run(once(n, kind="tcp", address="web:1")).peer for n in (1, 2, 3)]
    assert peers == ["127.0.0.2:1", "127.0.0.3:1", "127.0.0.2:1"]


class Ships:
    """Takes envelopes, until there are enough payloads or it is full."""

    def __init__(self, enough: int, stop: threading.Event, *, full: bool = False) -> None:
        self.envelopes: list[Envelope] = []
        self._enough, self._stop, self._full = enough, stop, full

    def offer(self, parcel: Parcel) -> bool:
        """See `Shipper.offer`."""
        self.envelopes.append(parcel.envelope)
        if sum(one.payloads.num_rows for one in self.envelopes) >= self._enough:
            self._stop.set()
        return not self._full

    def payloads(self) -> list[tuple[str, dict[str, Any]]]:
        """Exporter and what is told, in order."""
        return [
            (row["exporter"], json.loads(row["payload"]))
            for one in self.envelopes
            for row in one.payloads.to_pylist()
        ]


def probing(config: ProbeInput, enough: int, *, full: bool = False) -> tuple[Ships, dict[str, int]]:
    stop = threading.Event()
    ships = Ships(enough, stop, full=full)
    batcher = Batcher(Header("a", "east", "net", "probe"), BatchConfig(max_age_ms=50))
    probe(config, batcher, ships, stop)  # type: ignore[arg-type]
    return ships, dict(batcher.lost)


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_rounds_are_payloads_by_target():
    """Each try is one, in its target's name; a target that fails keeps no other waiting, and loses nothing."""
    with listening() as port, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        quick = {"kind": "tcp", "interval_s": 1.0, "timeout_s": 0.5, "attempts": 2}
        config = ProbeInput(
            targets=(
                ProbeTarget(name="good", address=f"127.0.0.1:{port}", **quick),
                ProbeTarget(name="bad", address=f"127.0.0.1:{unused.getsockname()[1]}", **quick),
            )
        )
        ships, lost = probing(config, 10)
    told = ships.payloads()
    assert lost == {}
    for name, outcome in (("good", "ok"), ("bad", "refused")):
        own = [row for exporter, row in told if exporter == name]
        assert {(row["target"], row["outcome"]) for row in own} == {(name, outcome)}
        assert [row["attempt"] for row in own][:4] == [1, 2, 1, 2]
    assert set(told[0][1]) <= set(Attempt.__struct_fields__)


def test_results_nobody_takes_are_counted():
    """The queue behind is full: they are lost, and that is told."""
    with listening() as port:
        target = ProbeTarget(
            name="t", kind="tcp", address=f"127.0.0.1:{port}", interval_s=0.1, timeout_s=0.1, attempts=1
        )  # fmt: skip
        _, lost = probing(ProbeInput(targets=(target,)), 2, full=True)
    assert set(lost) == {"queue_full"}
    assert lost["queue_full"] >= 2


def test_a_renewed_certificate_is_shown_from_the_next_round(files: Files, tmp_path: Path):
    """Files are read again when they change; one that is broken leaves what was read."""
    shown = tmp_path / "client.pem"
    shown.write_text(Path(files.good.both).read_text())
    target = ProbeTarget(
        name="t", kind="tls", address="127.0.0.1:1", tls_ca_file=files.ca, tls_cert_file=str(shown)
    )
    from collectors.probe import _Contexts  # noqa: PLC0415

    contexts = _Contexts()
    first = contexts.of(target)
    assert contexts.of(target) is first
    shown.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        contexts.of(target)
    assert contexts.last(target) is first
    shown.write_text(Path(files.spiffe.both).read_text())
    assert contexts.of(target) is not first


def test_files_that_are_not_there_end_the_input(tmp_path: Path):
    """Of a target, or of the listener: said at once, with the keys to set."""
    missing = str(tmp_path / "gone.pem")
    target = ProbeTarget(name="t", kind="tls", address="127.0.0.1:1", tls_ca_file=missing)
    with pytest.raises(InputError, match="set tls_ca_file"):
        probe(ProbeInput(targets=(target,)), None, None, threading.Event())  # type: ignore[arg-type]
    config = ProbeInput(listen="127.0.0.1:0", listen_cert_file=missing)
    with pytest.raises(InputError, match="set listen_cert_file"):
        probe(config, None, None, threading.Event())  # type: ignore[arg-type]


def test_a_port_that_is_taken_ends_the_input():
    """Said at once."""
    with listening() as port, pytest.raises(InputError, match="set listen"):
        probe(ProbeInput(listen=f"127.0.0.1:{port}"), None, None, threading.Event())  # type: ignore[arg-type]


def test_more_connections_than_allowed_are_cut(monkeypatch: pytest.MonkeyPatch):
    """Those that stand stay; the next is closed."""
    monkeypatch.setattr(probe_answer, "MAX_CONNECTIONS", 1)

    async def run() -> tuple[bytes, bytes]:
        answers = Answers(ANSWERING)
        await answers.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", answers.port)
        writer.write(b"one")
        first = await reader.read(10)
        other, closing = await asyncio.open_connection("127.0.0.1", answers.port)
        second = await other.read(10)
        closing.close()
        writer.write(b"two")
        again = await reader.read(10)
        writer.close()
        await answers.close()
        return first + again, second

    assert asyncio.run(run()) == (b"onetwo", b"")


TARGET = '[[agents]]\nname="a"\ncluster="c"\nnetwork="n"\n[[agents.inputs]]\ntype="probe"\n[[agents.inputs.targets]]\nname="t"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('kind="tcp"\n', "address: what a target of kind tcp has, and no url"),
        ('kind="http"\naddress="a:1"\n', "url: what a target of kind http has, and no address"),
        ('kind="tcp"\naddress="a:0"\n', "address: expected a port of 1 to 65535"),
        ('kind="http"\nurl="http://a:99999/"\n', "url: expected a port of 1 to 65535"),
        ('kind="tcp"\naddress="a"\n', "address"),
        ('kind="http"\nurl="http://a/"\necho=true\n', "echo: is of tcp and tls"),
        ('kind="tls"\naddress="a:1"\nserver_name=".a"\n', "server_name"),
        ('kind="tls"\naddress="a:1"\nidentity="spiffe://a"\nverify="nothing"\n', "identity"),
        ('kind="tcp"\naddress="a:1"\nattempts=6\n', "interval_s: as long as attempts times timeout_s"),
        ('kind="tls"\naddress="a:1"\ntls_key_file="k"\n', "tls_cert_file"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(text: str, error: str):
    """By the key that is wrong."""
    with pytest.raises(ConfigError) as caught:
        decode_toml((TARGET + text).encode(), AgentFile)
    assert error in str(caught.value)


def test_inputs_without_work_or_with_a_name_twice_are_refused():
    """Somebody to try, or somewhere to answer; names are exporters."""
    with pytest.raises(ValueError, match="targets: name at least one, or listen"):
        ProbeInput()
    target = ProbeTarget(name="t", kind="tcp", address="a:1")
    with pytest.raises(ValueError, match="targets: two are named 't'"):
        ProbeInput(targets=(target, target))
