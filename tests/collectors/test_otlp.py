"""OpenTelemetry logs: an answer is a promise that the records are safe."""

import threading
import time

import grpc
import pytest
from grpc_peers import Running, rows_of

from collectors import otlp
from collectors.config import BatchConfig, OtlpLogsInput
from collectors.otlp import METHOD, pieces
from collectors.partial_messages import OTLP

Request = OTLP["ExportLogsServiceRequest"]


def _otlp(root, batch=None, **settings: object):
    config = OtlpLogsInput(**{"listen": "127.0.0.1:0", **settings})
    return Running(root, "otlp_logs", otlp.receive, config, batch=batch)


def _request(*bodies: str, service="web"):
    request = Request()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add(schema_url="s")
    for body in bodies:
        scope.log_records.add().body.string_value = body
    return request


def _bodies(payloads):
    return [
        record.body.string_value
        for payload in payloads
        for resource in Request.FromString(payload).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_a_request_is_a_payload_and_is_answered_empty(tmp_path):
    """Bytes untouched where nothing is private; the exporter is the peer's address."""
    raw = _request("one", "two").SerializeToString()
    with _otlp(tmp_path) as one:
        assert one.send(METHOD, [raw]) == b""
        assert one.send(METHOD, [b""]) == b""  # nothing in it, nothing to keep
        rows = rows_of(one.end())
    assert rows == [("127.0.0.1", raw)]
    assert one.batcher.lost == {}


@pytest.mark.parametrize("max_payloads", [1, 2])
def test_the_answer_waits_until_the_payload_is_safe(tmp_path, max_payloads):
    """While the log stands still nobody is told that anything arrived, also if it filled a batch."""
    raw = _request("one").SerializeToString()
    answered = threading.Event()

    def send():
        one.send(METHOD, [raw])
        answered.set()

    with _otlp(tmp_path, BatchConfig(max_payloads=max_payloads)) as one:
        one.log.gate.clear()
        sender = threading.Thread(target=send)
        sender.start()
        while not one.batcher.received:
            time.sleep(0.01)
        assert not answered.wait(0.5)
        one.log.gate.set()
        assert answered.wait(10)
        sender.join()
        assert len(rows_of(one.end())) == 1


def test_the_end_answers_what_it_has(tmp_path):
    """A request that waits for its batch when the agent is told to end is shipped and answered."""
    raw = _request("one").SerializeToString()
    answers = []
    with _otlp(tmp_path) as one:
        sender = threading.Thread(target=lambda: answers.append(one.send(METHOD, [raw])))
        sender.start()
        while not one.batcher.received:
            time.sleep(0.001)
        rows = rows_of(one.end())
        sender.join()
    assert answers == [b""]
    assert len(rows) == 1


def test_an_agent_that_ends_before_the_log_answers_keeps_what_it_has(tmp_path):
    """Nobody is told that it is safe, who sent it may do so again; it is shipped nevertheless."""
    raw = _request("one").SerializeToString()

    def send():
        with pytest.raises(grpc.RpcError):
            one.send(METHOD, [raw])

    with _otlp(tmp_path) as one:
        one.log.gate.clear()
        sender = threading.Thread(target=send)
        sender.start()
        while not one.batcher.received:
            time.sleep(0.01)
        one.stop.set()
        one._thread.join(10)
        sender.join()
        one.log.gate.set()
        assert rows_of(one.end()) == [("127.0.0.1", raw)]
        assert one.shipper.error is None


def test_more_calls_than_allowed_wait_their_turn(tmp_path):
    """They are not read before; none is refused, none is lost."""
    with _otlp(tmp_path, max_calls=2) as one:
        senders = [
            threading.Thread(target=one.send, args=(METHOD, [_request(str(n)).SerializeToString()]))
            for n in range(10)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        rows = rows_of(one.end())
    assert sorted(_bodies(payload for _, payload in rows)) == [str(n) for n in range(10)]


def test_what_is_private_is_left_out_and_garbage_does_not_leak(tmp_path):
    """By default; the sender of garbage is answered, or it would send it for ever."""
    with _otlp(tmp_path) as one:
        one.send(METHOD, [_request('{"path":"/a?card=4929"}').SerializeToString()])
        one.send(METHOD, [b"\xff\xff"])
        rows = rows_of(one.end())
    assert _bodies(payload for _, payload in rows) == ['{"path":"/a"}']
    assert one.batcher.lost == {"redact_failed": 1}


def test_a_large_request_is_cut_between_its_records(tmp_path):
    """Each piece says whose it is; a record that alone is too large is dropped, and counted."""
    request = _request(*("x" * 50_000 for _ in range(30)))
    request.MergeFrom(_request("y" * 600_000, service="other"))
    with _otlp(tmp_path) as one:
        one.send(METHOD, [request.SerializeToString()])
        rows = rows_of(one.end())
    assert _bodies(payload for _, payload in rows) == ["x" * 50_000] * 30
    for _, payload in rows:
        (resource,) = Request.FromString(payload).resource_logs
        assert resource.resource.attributes[0].value.string_value == "web"
        assert resource.scope_logs[0].schema_url == "s"
        assert len(payload) <= 512 * 1024
    assert one.batcher.lost == {"message_too_large": 1}


def test_a_request_above_the_limit_is_refused_and_counted(tmp_path):
    """The sender is told, by the status it would show."""
    with _otlp(tmp_path, max_message_bytes=65_536) as one:
        with pytest.raises(grpc.RpcError) as refused:
            one.send(METHOD, [_request("x" * 70_000).SerializeToString()])
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        one.end()
    assert one.batcher.lost == {"message_too_large": 1}


def test_pieces_of_anything():
    """A small request is one piece, bytes that are none too."""
    assert list(pieces(b"\xff" * 100, 50)) == [b"\xff" * 100]
    assert list(pieces(b"small", 50)) == [b"small"]
