"""The protocol, byte by byte: what a client may send in which order, and what it may not."""

import contextlib
import fcntl
import resource
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import LONG, Served

from pipeline.config import RoleConfig, ServeConfig
from pipeline.serve.pgwire.server import Server

WAIT_S = 60
STARTUP = struct.pack("!I", 0x0003_0000) + b"user\0reader\0database\0crosspane\0\0"
TLS = struct.pack("!II", 8, 80_877_103)
GSS = struct.pack("!II", 8, 80_877_104)
MOST_BYTES = 8_192


class Message(NamedTuple):
    """One message of the server's."""

    kind: str
    body: bytes


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Server]:
    """Over the session's lake, with no passwords, short messages, and few clients at a time."""
    config = ServeConfig(
        roles={"reader": RoleConfig(), "brief": RoleConfig()},
        max_clients=4,
        login_s=WAIT_S,
        max_message_bytes=MOST_BYTES,
    )
    found = Server(served.engine, config, "127.0.0.1:0")
    yield found
    found.close()


class Client:
    """A socket that speaks in bytes."""

    def __init__(
        self, address: tuple[str, int], *, start: bool = True, user: str = "reader"
    ) -> None:
        self.socket = socket.create_connection(address, timeout=WAIT_S)
        self._file = self.socket.makefile("rb")
        if start:
            body = STARTUP.replace(b"reader", user.encode())
            self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
            self.greeting = self.until("Z")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *messages: bytes) -> None:
        """Send messages, all at once."""
        self.socket.sendall(b"".join(messages))

    def hang_up(self) -> None:
        """Nothing more comes; the server may have gone already."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def read(self) -> Message | None:
        """Next message; None at the end."""
        try:
            head = self._file.read(5)
        except ConnectionResetError:
            return None
        if len(head) < 5:
            return None
        kind, length = struct.unpack("!cI", head)
        return Message(kind.decode(), self._file.read(length - 4))

    def until(self, kind: str) -> list[Message]:
        """Messages up to one of a kind, or to the end."""
        found = []
        while (message := self.read()) is not None:
            found.append(message)
            if message.kind == kind:
                break
        return found

    def kinds(self) -> str:
        """Kinds of what comes up to the server being ready."""
        return "".join(message.kind for message in self.until("Z"))


def msg(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    return msg("Q", text.encode() + b"\0")


def parse(text: str, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    return msg(
        "P",
        f"{name}\0{text}\0".encode() + struct.pack(f"!H{len(oids)}I", len(oids), *oids),
    )


def bind(portal: str = "", name: str = "", values: tuple[bytes, ...] = ()) -> bytes:
    given = b"".join(struct.pack("!i", len(one)) + one for one in values)
    head = struct.pack("!HH", 0, len(values))
    return msg("B", f"{portal}\0{name}\0".encode() + head + given + struct.pack("!H", 0))


def describe(kind: str, name: str = "") -> bytes:
    return msg("D", kind.encode() + name.encode() + b"\0")


def execute(portal: str = "", most: int = 0) -> bytes:
    return msg("E", portal.encode() + b"\0" + struct.pack("!I", most))


def state(message: Message) -> str:
    """SQLSTATE of an error."""
    fields = {part[:1]: part[1:] for part in message.body.split(b"\0") if part}
    return fields[b"C"].decode()


SYNC = msg("S")


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as found:
        yield found


def test_a_client_is_told_what_it_should_know(client: Client):
    """Who it is, settings that drivers read, a key to cancel with, and that it may ask."""
    kinds = "".join(message.kind for message in client.greeting)
    told = dict(m.body.decode().split("\0")[:2] for m in client.greeting if m.kind == "S")
    assert kinds == "R" + "S" * 11 + "KZ"
    assert told["server_version"].startswith("15.")
    assert (told["client_encoding"], told["TimeZone"]) == ("UTF8", "UTC")
    assert (told["DateStyle"], told["integer_datetimes"]) == ("ISO, MDY", "on")
    assert len(client.greeting[-2].body) == 8


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("SELECT 1", "TDCZ"),
        ("SELECT 1; SELECT 2", "TDCTDCZ"),
        ("", "IZ"),
        (";", "IZ"),
        ("-- ping", "IZ"),
        ("SELECT 1 WHERE false", "TCZ"),
        ("SET application_name = 'x'; SELECT 1", "CTDCZ"),
        ("SELECT 1; SELECT nope; SELECT 2", "TDCEZ"),
        ("BEGIN; COMMIT", "CCZ"),
        ("SET TimeZone = 'Europe/Berlin'", "NCZ"),
    ],
)
def test_simple_protocol(client: Client, text: str, kinds: str):
    """Rows of each statement; nothing after an error; an empty text has its own answer."""
    client.send(query(text))
    assert client.kinds() == kinds


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("SELECT * FROM range(3)", b"SELECT 3\0"),
        ("DESCRIBE v_types", b"SELECT 28\0"),
        ("SHOW server_version", b"SELECT 1\0"),
        ("FROM range(2)", b"SELECT 2\0"),
        ("ROLLBACK", b"ROLLBACK\0"),
    ],
)
def test_tags(client: Client, text: str, tag: bytes):
    """Whatever gives rows is said to be a SELECT: Grafana leaves out what is not."""
    client.send(query(text))
    assert client.until("Z")[-2] == Message("C", tag)


def test_a_failed_transaction_answers_nothing_but_its_end(client: Client):
    """25P02 until ROLLBACK; COMMIT of it is said to be one. Its status is told each time."""
    answers = []
    for text in ("BEGIN", "SELECT nope", "SELECT 1", "COMMIT", "SELECT 1"):
        client.send(query(text))
        found = client.until("Z")
        said = state(found[0]) if found[0].kind == "E" else found[-2].body.decode().strip("\0")
        answers.append((said, found[-1].body))
    assert answers == [
        ("BEGIN", b"T"),
        ("42703", b"E"),
        ("25P02", b"E"),
        ("ROLLBACK", b"I"),
        ("SELECT 1", b"I"),
    ]


def test_extended_protocol(client: Client):
    """Parse, Describe, Bind, Execute of a named statement, twice."""
    client.send(parse("SELECT $1::int + 1 AS next", "one"), describe("S", "one"), SYNC)
    described = client.until("Z")
    assert "".join(message.kind for message in described) == "1tTZ"
    assert described[1].body == struct.pack("!HI", 1, 23)
    assert described[2].body == b"\0\x01next\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0)
    for value, row in ((b"1", b"2"), (b"-1", b"0")):
        client.send(bind(name="one", values=(value,)), execute(), SYNC)
        found = client.until("Z")
        assert "".join(message.kind for message in found) == "2DCZ"
        assert found[1].body == struct.pack("!HI", 1, 1) + row


def test_rows_as_many_as_are_wanted(client: Client):
    """A portal is suspended until its last row; the tag counts those of this Execute."""
    client.send(
        parse("FROM range(5)"), bind(), execute(most=2), execute(most=2), execute(most=2), SYNC
    )
    found = client.until("Z")
    assert "".join(message.kind for message in found) == "12DDsDDsDCZ"
    assert found[-2].body == b"SELECT 1\0"


def test_a_portal_that_ends_with_its_rows_is_done(client: Client):
    """As many as there are: no empty round to find that out."""
    client.send(parse("FROM range(2)"), bind(), execute(most=2), SYNC)
    assert client.kinds() == "12DDCZ"


def test_portals_do_not_disturb_each_other(client: Client):
    """Two are open in a transaction, and their rows come in turns."""
    client.send(
        query("BEGIN"),
        parse("FROM range(10, 13)"), bind("a"), parse("FROM range(20, 23)"), bind("b"),
        execute("a", 1), execute("b", 1), execute("a", 1), execute("b", 0), SYNC,
    )  # fmt: skip
    assert client.kinds() == "CZ"
    found = client.until("Z")
    assert [m.body[6:] for m in found if m.kind == "D"] == [b"10", b"20", b"11", b"21", b"22"]


def test_a_portal_goes_with_its_transaction(client: Client):
    """Outside one that is at Sync."""
    client.send(parse("SELECT 1"), bind("a"), SYNC, execute("a"), SYNC)
    assert client.kinds() == "12Z"
    found = client.until("Z")
    assert (found[0].kind, state(found[0])) == ("E", "34000")


def test_after_an_error_all_is_skipped_until_sync(client: Client):
    """Nothing is answered to what a client sent before it knew."""
    client.send(parse("SELECT nope"), describe("S"), bind(), execute(), SYNC, query("SELECT 1"))
    assert client.kinds() == "1EZ"
    assert client.kinds() == "TDCZ"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([bind(name="nope")], "26000"),
        ([describe("P", "nope")], "34000"),
        ([execute("nope")], "34000"),
        ([parse("SELECT 1", "a"), parse("SELECT 1", "a")], "42P05"),
        ([parse("SELECT 1"), bind("a"), bind("a")], "42P03"),
        ([parse("SELECT 1; SELECT 2")], "42601"),
        ([parse("SELECT $1::int"), bind()], "08P01"),
        ([parse("SELECT $1::int"), bind(values=(b"x",)), execute()], "22P02"),
        ([msg("F", struct.pack("!IHHH", 1, 0, 0, 0))], "0A000"),
        ([parse("DROP TABLE a")], "25006"),
    ],
)
def test_what_is_wrong_has_its_sqlstate(client: Client, messages: list[bytes], expected: str):
    """And the session goes on after Sync."""
    client.send(*messages, SYNC, query("SELECT 1"))
    errors = [message for message in client.until("Z") if message.kind == "E"]
    assert [state(error) for error in errors] == [expected]
    assert client.kinds() == "TDCZ"


def test_a_statement_without_rows_is_described_as_that(client: Client):
    """SET has no columns; an empty text is answered as one."""
    client.send(parse("SET jit = off"), describe("S"), bind(), describe("P"), execute(), SYNC)
    assert client.kinds() == "1tn2nCZ"
    client.send(parse(""), describe("S"), bind(), execute(), msg("H"), SYNC)
    assert client.kinds() == "1tn2IZ"


def test_statements_are_forgotten_when_told(client: Client):
    """Close, and DEALLOCATE ALL; closing what is not there is no error."""
    client.send(parse("SELECT 1", "a"), msg("C", b"Sa\0"), msg("C", b"Pnope\0"), SYNC)
    assert client.kinds() == "133Z"
    client.send(parse("SELECT 1", "a"), query("DEALLOCATE ALL"), bind(name="a"), SYNC)
    assert client.kinds() == "1CZ"
    assert state(client.until("Z")[0]) == "26000"


def test_a_message_is_refused_before_it_is_read(client: Client):
    """Its length is enough: nothing of it has to come."""
    client.send(b"Q" + struct.pack("!I", MOST_BYTES + 1))
    last = client.until("Z")
    assert [(message.kind, state(message)) for message in last] == [("E", "54000")]


@pytest.mark.parametrize(
    "data",
    [
        b"Q\x00\x00\x00\x03",
        msg("Q", b"no end"),
        msg("Q", b"\xff\0"),
        msg("?"),
        msg("d", b"copy"),
        msg("P", b"a\0SELECT\0\xff\xff"),
        msg("D", b""),
        msg("B", b"\0\0" + struct.pack("!HHi", 0, 9, 1 << 30)),
    ],
)
def test_what_is_no_message_ends_the_connection(client: Client, data: bytes):
    """With a word why."""
    client.send(data)
    found = client.until("never")
    assert [(message.kind, state(message)) for message in found] == [("E", "08P01")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (struct.pack("!II", 8, 0x0002_0000), "0A000"),
        (struct.pack("!I", 20_000), "08P01"),
        (struct.pack("!II", 7, 0), "08P01"),
        (struct.pack("!II", 9, 0x0003_0000) + b"\0", "28000"),
        (struct.pack("!I", 23) + STARTUP[:4] + b"user\0reader\0rep", "08P01"),
        (GSS + GSS + TLS, "08P01"),
    ],
    ids=["old", "long", "short", "no user", "cut", "requests"],
)
def test_a_start_that_is_none(server: Server, data: bytes, expected: str):
    """Said, and the connection ends."""
    with Client(server.address, start=False) as client:
        client.send(data)
        client.hang_up()
        answer = b"".join(iter(lambda: client._file.read(4096), b"")).lstrip(b"N")
    assert f"C{expected}".encode() in answer


def test_a_newer_protocol_is_negotiated(server: Server):
    """3.9999 with an option: the newest there is, the option is unknown, and it goes on."""
    body = struct.pack("!I", 0x0003_270F) + b"user\0reader\0_pq_.grease\0on\0\0"
    with Client(server.address, start=False) as client:
        client.send(struct.pack("!I", len(body) + 4) + body)
        found = client.until("Z")
    assert found[0] == Message("v", struct.pack("!II", 2, 1) + b"_pq_.grease\0")
    assert found[-1] == Message("Z", b"I")


@pytest.mark.parametrize(("right", "ended"), [(True, "57014"), (False, "")])
def test_only_who_has_the_key_cancels(server: Server, right: bool, ended: str):
    """A statement ends for its own key; for another it goes on, to the end of its time."""
    with Client(server.address) as client:
        number, secret = struct.unpack("!I4s", client.greeting[-2].body)
        secret = secret if right else bytes(byte ^ 1 for byte in secret)
        cancel = struct.pack("!III4s", 16, 80_877_102, number, secret)
        client.send(query(LONG if right else "SELECT count(*) FROM range(1000000)"))
        while True:
            with Client(server.address, start=False) as other:
                other.send(cancel)
                assert other.read() is None
            client.socket.settimeout(0.05)
            try:
                client.socket.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:  # it had not begun yet
                continue
        client.socket.settimeout(WAIT_S)
        first = client.until("Z")[0]
    assert (state(first) if first.kind == "E" else "") == ended


def test_one_client_too_many_is_told_so(server: Server):
    """53300 at once, whatever it would have said; when one goes, another may come."""
    clients = [Client(server.address) for _ in range(4)]
    with Client(server.address, start=False) as fifth:
        assert state(fifth.until("Z")[0]) == "53300"
    for client in clients:
        client.send(msg("X"))
        assert client.read() is None
        client.__exit__()
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:  # a thread that has answered may not have ended
        with Client(server.address) as client:
            if "Z" in [message.kind for message in client.greeting]:
                return
    pytest.fail("nobody is let in any more")


def test_who_does_not_say_who_it_is_is_sent_away(served: Served):
    """After the time for it, whether it says nothing or half a word."""
    config = ServeConfig(roles={"reader": RoleConfig()}, login_s=0.2)
    server = Server(served.engine, config, "127.0.0.1:0")
    try:
        for said in (b"", b"\0\0"):
            with Client(server.address, start=False) as client:
                client.send(said)
                assert client.read() is None
    finally:
        server.close()


def test_who_does_not_read_does_not_fill_memory(server: Server):
    """Of 900 MB, what the sockets hold is made, and no more; another is answered meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Client(server.address) as client:
        client.send(query("SELECT repeat('x', 1000) FROM range(900000)"))
        waiting, same = 0, 0
        while same < 5:
            time.sleep(0.05)
            now = struct.unpack("i", fcntl.ioctl(client.socket, termios.FIONREAD, bytes(4)))[0]
            waiting, same = now, same + 1 if now == waiting > 0 else 0
        assert _answers(server)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 200_000  # kB


def test_an_ended_server_ends_its_clients(served: Served):
    """Those that wait, and those whose statement runs."""
    server = Server(served.engine, ServeConfig(roles={"reader": RoleConfig()}), "127.0.0.1:0")
    with Client(server.address) as idle, Client(server.address) as busy:
        busy.send(query(LONG))
        closing = threading.Thread(target=server.close)
        closing.start()
        assert idle.read() is None
        busy.until("never")
        closing.join(WAIT_S)
    assert not closing.is_alive()


def test_tls_wraps_what_follows(served: Served):
    """Asked for, agreed to, and the start comes inside it."""
    with Client((served.host, served.port), start=False) as client:
        client.send(TLS)
        assert client._file.read(1) == b"S"
        context = ssl.create_default_context(cafile=served.certificate)
        with context.wrap_socket(client.socket, server_hostname="localhost") as inside:
            inside.sendall(struct.pack("!I", len(STARTUP) + 4) + STARTUP)
            assert inside.recv(1) == b"R"
            assert inside.version() in {"TLSv1.2", "TLSv1.3"}


def _answers(server: Server) -> bool:
    with Client(server.address) as client:
        client.send(query("SELECT 1"))
        return client.kinds() == "TDCZ"


@settings(max_examples=40)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_to_the_port_end_a_connection(server: Server, data: bytes, framed: bool):
    """Whoever comes, with whatever: its connection ends, and the server answers the next."""
    with Client(server.address, start=False) as client:
        client.send(struct.pack("!I", len(data) + 4) * framed + data)
        client.hang_up()
        with contextlib.suppress(ConnectionResetError):
            while client.socket.recv(65_536):
                pass


KINDS = st.sampled_from("QPBDECSHXFdcf?p")
BODIES = st.binary(max_size=60) | st.sampled_from(
    [b"\0", b"\0SELECT $1\0\0\0", b"\0\0\0\0\0\1\0\0\0\1x\0\0", b"S\0", b"P\0", b"\0\0\0\0\0"]
)


@settings(max_examples=40)
@given(st.lists(st.tuples(KINDS, BODIES), max_size=6))
def test_any_messages_of_a_client_end_or_are_answered(
    server: Server, messages: list[tuple[str, bytes]]
):
    """Whoever is let in, and sends whatever: it is answered, or its connection ends."""
    with Client(server.address) as client:
        client.send(*(msg(kind, body) for kind, body in messages), SYNC)
        client.hang_up()
        assert set("".join(m.kind for m in client.until("never"))) <= set("123CDEINTZnst")


def test_after_all_of_this_it_answers(server: Server):
    """No thread, client or statement was left by what came before."""
    assert _answers(server)
