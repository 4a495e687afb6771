"""Hubble's observer, by a server that speaks its wire and resumes as the real one does."""

import bisect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
import pytest
from grpc_peers import Running, certificates, rows_of

from collectors import hubble
from collectors.config import BatchConfig, ConfigError, HubbleInput, Redact
from collectors.partial_messages import HUBBLE

KEEP = Redact(query="keep", headers="keep", field_treatment="keep", keep_metadata=("*",))

# Recorded from Hubble's own server, Cilium 1.20.2, fed with one HTTP access record.
REAL = (
    b"\xc2>\x06node-1\xca>\x0c\x08\xf0\x85\xa2\xd8\x06\x10\xd4\xe9\x9f\xc0\x02\n\xa4\x02\n\x0c\x08"
    b"\xf0\x85\xa2\xd8\x06\x10\xd4\xe9\x9f\xc0\x02\x10\x01*\x16\n\x0810.1.1.1\x12\x0810.1.1.2\x18"
    b"\x012\t\n\x07\x08\xc0\xb8\x02\x10\xf8FB\x03\x10\xd2\tJ\x03\x10\xe1!P\x02Z\x06node-1zd\x08\x01"
    b'\xaa\x06_\x12\x03GET\x1a(http://reviews:9080/api/18?token=hunter2"\x08HTTP/1.1*\x11\n\x06'
    b"Cookie\x12\x07hunter2*\x11\n\x0cX-Request-Id\x12\x017\x9a\x01\x03\x08\x81\x01\xb0\x01\x01\xd2"
    b"\x01\x00\x92\x02$b86ad7a4-4f8b-4b89-83c6-ae59b427f761\xca\x02\x08\n\x06Hubble\x82\xea05"
    b"HTTP/1.1 GET http://reviews:9080/api/18?token=hunter2"
)


_base_s = 0


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    """Flows come after the agent's start."""
    monkeypatch.setitem(globals(), "_base_s", int(time.time()) + 5)


def _answer(number, seconds=None, node="node-1"):
    answer = HUBBLE["GetFlowsResponse"](node_name=node)
    answer.flow.l7.http.url = f"/{number}"
    answer.time.seconds = _base_s + number if seconds is None else seconds
    return answer.SerializeToString()


class _Observer:
    """Serves answers of a ring; ``since`` leaves out what is older, as in local_observer.go."""

    def __init__(self, port=0, credentials=None, *, tells_status=False) -> None:
        self.ring: list[tuple[int, bytes]] = []
        self.requests: list[object] = []
        self._stopped = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        handlers = {"GetFlows": grpc.unary_stream_rpc_method_handler(self._get_flows)}
        if tells_status:
            handlers["ServerStatus"] = grpc.unary_unary_rpc_method_handler(self._get_status)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("observer.Observer", handlers),)
        )
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def put(self, *answers: bytes) -> None:
        for answer in answers:
            seconds = HUBBLE["GetFlowsResponse"].FromString(answer).time.seconds
            self.ring.append((seconds, answer))

    def _get_status(self, *_: object):
        return HUBBLE["ServerStatusResponse"](num_flows=len(self.ring)).SerializeToString()

    def _get_flows(self, raw, _):
        request = HUBBLE["GetFlowsRequest"].FromString(raw)
        self.requests.append(request)
        place = len(self.ring)
        if request.HasField("since"):
            place = bisect.bisect_left(self.ring, (request.since.seconds, b""))
        while not self._stopped.is_set():
            while place < len(self.ring):
                yield self.ring[place][1]
                place += 1
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.stop(0).wait()


class _Following(Running):
    def __init__(self, root, port, **settings: object) -> None:
        config = HubbleInput(
            **{"target": f"127.0.0.1:{port}", "retry_s": 0.05, "redact": KEEP, **settings}
        )
        batch = BatchConfig(max_payloads=500, max_age_ms=20)
        super().__init__(root, "hubble", self._follow, config, batch=batch, queue_size=2)

    @staticmethod
    def _follow(config, batcher, shipper, stop, on_bound) -> None:
        on_bound(0)
        hubble.follow(config, batcher, shipper, stop)

    def wait(self, received) -> None:
        until = time.monotonic() + 20
        while self.batcher.received < received and time.monotonic() < until:
            time.sleep(0.01)
        assert self.batcher.received == received


def _until_asked(observer, times=1):
    while len(observer.requests) < times:
        time.sleep(0.01)


def test_flows_arrive_untouched_and_are_named_by_their_node(tmp_path):
    """A node's name from the answer; the target where there is none. The past is not asked for."""
    before_s = int(time.time())
    with _Observer() as observer:
        observer.put(_answer(1, seconds=before_s - 60))
        with _Following(tmp_path, observer.port) as one:
            _until_asked(observer)
            time.sleep(0.1)
            observer.put(_answer(2), REAL, _answer(3, node=""), b"")
            one.wait(4)
            rows = rows_of(one.end())
    assert rows == [
        ("node-1", _answer(2)),
        ("node-1", REAL),
        (f"127.0.0.1:{observer.port}", _answer(3, node="")),
        (f"127.0.0.1:{observer.port}", b""),
    ]
    assert observer.requests[0].follow
    assert before_s <= observer.requests[0].since.seconds <= time.time()


def test_an_empty_ring_is_not_followed_before_it_holds_something(tmp_path):
    """Hubble would send nothing until it is full; what came meanwhile is asked for."""
    with _Observer(tells_status=True) as observer, _Following(tmp_path, observer.port) as one:
        time.sleep(0.3)
        observer.put(_answer(1))
        time.sleep(0.3)
        assert observer.requests == []
        observer.put(_answer(2))
        one.wait(2)
        rows = rows_of(one.end())
    assert [payload for _, payload in rows] == [
        _answer(1),
        _answer(2),
    ]


def test_a_new_stream_begins_where_the_last_one_ended(tmp_path):
    """No flow twice, none lost, while the observer's ring still holds what was seen last."""
    with _Following(tmp_path, (first := _Observer()).port) as one:
        with first:
            _until_asked(first)
            time.sleep(0.1)
            first.put(_answer(1), _answer(2))
            one.wait(2)
        with _Observer(first.port) as second:
            second.put(_answer(1), _answer(2), _answer(3))
            one.wait(3)
        rows = rows_of(one.end())
    assert [payload for _, payload in rows] == [_answer(1), _answer(2), _answer(3)]
    assert second.requests[0].since.seconds == _base_s + 1  # a second before the newest
    assert one.batcher.lost == {}


def test_a_ring_that_has_gone_on_is_a_gap_that_is_told(tmp_path):
    """The observer restarted: what it no longer holds may have been flows."""
    with _Following(tmp_path, (first := _Observer()).port) as one:
        with first:
            _until_asked(first)
            time.sleep(0.1)
            first.put(_answer(1))
            one.wait(1)
        with _Observer(first.port) as second:
            second.put(_answer(7), _answer(8))
            one.wait(4)
        found = one.end()
    assert [payload for _, payload in rows_of(found)] == [_answer(1), _answer(7), _answer(8)]
    assert one.batcher.lost == {"reconnect_gap": 1}
    assert sum(e.header.dropped.get("reconnect_gap", 0) for e in found) == 1


def test_an_observer_that_comes_late_is_waited_for(tmp_path):
    """Nobody listens at first; the agent neither ends nor gives up."""
    with _Observer() as gone:
        port = gone.port
    with _Following(tmp_path, port) as one:
        time.sleep(0.3)
        with _Observer(port) as observer:
            _until_asked(observer)
            time.sleep(0.1)
            observer.put(_answer(1))
            one.wait(1)
        assert [payload for _, payload in rows_of(one.end())] == [_answer(1)]


def test_a_time_of_tomorrow_does_not_stop_what_follows(tmp_path):
    """An answer's time is a peer's word: only a likely one is asked for."""
    with _Following(tmp_path, (first := _Observer()).port) as one:
        with first:
            _until_asked(first)
            time.sleep(0.1)
            first.put(_answer(1), _answer(2, seconds=1 << 40))
            one.wait(2)
        with _Observer(first.port) as second:
            second.put(_answer(1), _answer(3))
            one.wait(3)
        rows = rows_of(one.end())
    assert [payload for _, payload in rows][2] == _answer(3)


def test_what_is_private_is_left_out_and_garbage_is_counted(tmp_path):
    """By default; an answer that cannot be read is not passed on."""
    with (
        _Observer() as observer,
        _Following(tmp_path, observer.port, redact=Redact()) as one,
    ):
        _until_asked(observer)
        time.sleep(0.1)
        observer.ring += [(1, REAL), (2, b"\xff\xff"), (3, _answer(4))]
        one.wait(3)
        rows = rows_of(one.end())
    assert len(rows) == 2
    assert b"hunter2" not in rows[0][1]
    assert b"http://reviews:9080/api/18" in rows[0][1]
    assert one.batcher.lost == {"redact_failed": 1}


def test_a_log_that_stands_still_holds_the_observer(tmp_path):
    """Hubble's ring is the buffer; what it still holds arrives once the log goes on."""
    answers = [_answer(n, seconds=_base_s) + b"\xaa\x7d\x7d" + bytes(125) for n in range(20_000)]
    with _Observer() as observer, _Following(tmp_path, observer.port) as one:
        _until_asked(observer)
        time.sleep(0.1)
        one.log.gate.clear()
        observer.put(*answers)
        before = -1
        while one.batcher.received != before:
            before = one.batcher.received
            time.sleep(0.3)
        # A group of 16 batches, 2 queued, 1 waiting, 1 filling.
        assert one.batcher.received <= 20 * 500
        one.log.gate.set()
        one.wait(20_000)
        rows = rows_of(one.end())
    assert [payload for _, payload in rows] == answers


def test_tls_with_a_certificate_of_either_side(tmp_path):
    """A relay asks for one; a name that is not the target's can be given."""
    files = certificates(tmp_path)
    credentials = grpc.ssl_server_credentials(
        [(files["key"].read_bytes(), files["cert"].read_bytes())],
        root_certificates=files["ca"].read_bytes(),
        require_client_auth=True,
    )
    settings = {
        "tls_ca_file": str(files["ca"]),
        "tls_cert_file": str(files["cert"]),
        "tls_key_file": str(files["key"]),
        "tls_server_name": "localhost",
    }
    with (
        _Observer(credentials=credentials) as observer,
        _Following(tmp_path / "log", observer.port, **settings) as one,
    ):
        _until_asked(observer)
        time.sleep(0.1)
        observer.put(_answer(1))
        one.wait(1)
        assert [payload for _, payload in rows_of(one.end())] == [_answer(1)]
    missing = HubbleInput(tls_ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="No such file"):
        hubble.follow(missing, None, None, threading.Event())
