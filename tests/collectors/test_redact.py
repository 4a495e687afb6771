"""What is private does not leave the machine; a line stays a line, and JSON stays JSON."""

import contextlib
import json
from hashlib import blake2b

import pytest
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf import struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import redact_messages
from collectors.config import ConfigError, Redact
from collectors.partial_messages import OTLP
from collectors.redact import Redactor
from collectors.redact_messages import UnreadableError

DEFAULT = Redactor(Redact())
KEEP = Redact(query="keep", headers="keep", field_treatment="keep", keep_metadata=("*",))
KEY = "0123456789abcdef"
SECRET = "hunter2"  # noqa: S105 data

# Anything a client may put behind a question mark, also what looks like an end of it.
queries = st.text(
    alphabet=st.sampled_from("ab?=&\"\\ /:{}[],\u00e9\u2028\U0001f600'%HTP1."), max_size=12
)


@pytest.fixture
def hashing(monkeypatch):
    """A redactor that hashes everything."""
    monkeypatch.setenv("CROSSPANE_REDACT_KEY", KEY)
    return Redactor(Redact(query="hash", headers="hash", field_treatment="hash"))


def _hash(value: bytes) -> str:
    return blake2b(value, digest_size=8, key=KEY.encode()).hexdigest()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"path":"/pay?card=4929","status":200}', b'{"path":"/pay","status":200}'),
        (rb'{"path":"/a?b=\"c\"","x":"y"}', b'{"path":"/a","x":"y"}'),
        (rb'{"path":"/a?b=\\","x":"y"}', b'{"path":"/a","x":"y"}'),
        (rb'{"path":"/a\\?b=c","x":"y"}', rb'{"path":"/a\\","x":"y"}'),
        (rb'{"path":"/a\u003fb=c","x":"\\u003f"}', rb'{"path":"/a","x":"\\u003f"}'),
        (b'{"path":"/a?b=c d e","x":"y"}', b'{"path":"/a","x":"y"}'),
        (b'{"request":"GET /a?b=c HTTP/1.1","x":1}', b'{"request":"GET /a HTTP/1.1","x":1}'),
        (b'{"path":"/a?b HTTP/1.1 hunter2","x":1}', b'{"path":"/a","x":1}'),
        (b'{"url.query":"b=c","Query_String":"d"}', b'{"url.query":null,"Query_String":null}'),
        (b'{"user_agent":"curl","x":"user_agent"}', b'{"user_agent":null,"x":"user_agent"}'),
        (b'{"User-Agent" : "a\\"b" , "n":1}', b'{"User-Agent" : null , "n":1}'),
        (b'{"cookie":{"a":["]}"],"b":1},"n":1}', b'{"cookie":null,"n":1}'),
        (b'{"x":"\\"user_agent\\":\\"c\\"","n":1}', b'{"x":"\\"user_agent\\":\\"c\\"","n":1}'),
        (b'{"user_agent":"cut of', b'{"user_agent":null'),
        (b'{"cookie":{"cut":"of', b'{"cookie":null'),
        (
            b'2026-01-02T03:04:05Z stdout F {"path":"/a?b","x":"y z"}',
            b'2026-01-02T03:04:05Z stdout F {"path":"/a","x":"y z"}',
        ),
        (
            b'{"headers":[{"key":"X-Request-Id","value":"7"},{"key":"Cookie","value":"c"}]}',
            b'{"headers":[{"key":"X-Request-Id","value":"7"},{"key":"Cookie","value":""}]}',
        ),
        (b'"GET /pay?card=4929 HTTP/1.1" 200', b'"GET /pay HTTP/1.1" 200'),
        (b'"GET /a?b="c d" HTTP/2" 200 "e f"', b'"GET /a HTTP/2" 200 "e f"'),
        (b"uri=/a?b=c status=200", b"uri=/a status=200"),
        (
            b'[t] "GET /a?b=c HTTP/1.1" 200 - ok - "-" 0 95 3 2 "203.0.113.7" "a "x"" "7" "b" "c" d',
            b'[t] "GET /a HTTP/1.1" 200 - ok - "-" 0 95 3 2 "-" "-" "7" "b" "c" d',
        ),
        (
            b'[t] mesh "GET /a HTTP/1.1" 200 - 0 9 3 2 "203.0.113.7" "a" "1" "2" "3" "4" "5" "6" "7"',
            b'[t] mesh "GET /a HTTP/1.1" 200 - 0 9 3 2 "-" "-" "1" "2" "3" "4" "5" "6" "7"',
        ),
        (
            b't stdout F [t] "GET /a?b=c HTTP/1.1" 200 - 0 95 3 - "203.0.113.7" "a" "7" "b" "c"',
            b't stdout F [t] "GET /a HTTP/1.1" 200 - 0 95 3 - "-" "-" "7" "b" "c"',
        ),
    ],
)
def test_lines_lose_what_is_private_and_nothing_else(line, expected):
    """Strings with escapes, request lines, keys however written, lines that are cut off."""
    assert DEFAULT.lines([line]) == [expected]


def test_a_block_is_treated_as_its_lines_are():
    """Text and JSON in one file: as many lines, in the same order."""
    lines = [b'{"path":"/a?b"}', b'"GET /a?b HTTP/1.1" 200', b"", b"\xff?\xfe", b"{"]
    assert DEFAULT.lines(lines) == [b'{"path":"/a"}', b'"GET /a HTTP/1.1" 200', b"", b"\xff", b"{"]
    assert DEFAULT.lines([]) == []


def test_a_hash_tells_equal_values_and_nothing_else(hashing):
    """Keyed: the same value is the same mark, in every format."""
    mark = _hash(b"card=4929").encode()
    assert hashing.lines([b'{"path":"/pay?card=4929","user_agent":"curl","cookie":[1]}']) == [
        b'{"path":"/pay?'
        + mark
        + b'","user_agent":"'
        + _hash(b"curl").encode()
        + b'","cookie":null}'
    ]
    assert hashing.lines([b'"GET /pay?card=4929 HTTP/1.1" 200']) == [
        b'"GET /pay?' + mark + b' HTTP/1.1" 200'
    ]
    assert hashing.text("/pay?card=4929") == "/pay?" + mark.decode()


def test_a_hash_needs_a_key(tmp_path, monkeypatch):
    """Never a default one, never one from the configuration itself."""
    monkeypatch.delenv("CROSSPANE_REDACT_KEY", raising=False)
    with pytest.raises(ConfigError, match="CROSSPANE_REDACT_KEY"):
        Redactor(Redact(query="hash"))
    with pytest.raises(ConfigError, match="No such file"):
        Redactor(Redact(query="hash", key_file=str(tmp_path / "none")))
    (tmp_path / "short").write_bytes(b"short\n")
    with pytest.raises(ConfigError, match="5 bytes, not 16 to 64"):
        Redactor(Redact(query="hash", key_file=str(tmp_path / "short")))
    (tmp_path / "key").write_text(KEY + "\n")
    mark = Redactor(Redact(query="hash", key_file=str(tmp_path / "key"))).text("/a?b")
    assert mark == "/a?" + _hash(b"b")


def test_what_is_to_be_kept_is_untouched():
    """Also bytes that are no message: nothing in them is private by this configuration."""
    redactor = Redactor(KEEP)
    lines = [b'{"path":"/a?b","user_agent":"c"}', b"\xff"]
    assert redactor.lines(lines) is lines
    for redaction in (redact_messages.als, redact_messages.otlp, redact_messages.hubble):
        assert redaction(redactor)(b"\xff\xff") == b"\xff\xff"
        with pytest.raises(UnreadableError):
            redaction(DEFAULT)(b"\xff\xff")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | queries,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(queries, inner, max_size=3),
    max_leaves=8,
)
json_lines = st.dictionaries(
    st.sampled_from(["path", "user_agent", "Cookie", "headers", "x"]) | queries,
    json_values,
    max_size=5,
)


@settings(deadline=None)
@given(json_lines, queries, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_json_stays_json_and_leaks_no_query(line, query, ascii_only, separators):
    """Whatever is around it, and however it is escaped."""
    line = {**line, "url": f"/a?{query}{SECRET}{query}"}
    text = json.dumps(line, ensure_ascii=ascii_only, separators=separators)
    (found,) = DEFAULT.lines([text.encode()])
    assert SECRET.encode() not in found
    assert b"?" not in found
    assert json.loads(found)["url"].startswith("/a")
    for key, value in json.loads(found).items():
        assert value is None or key.lower() not in {"user_agent", "cookie"}


@settings(deadline=None)
@given(queries.filter(lambda query: " HTTP/" not in query))
def test_a_request_line_leaks_no_query(query):
    """Not even with quotes and spaces in it, which the text format does not escape."""
    (found,) = DEFAULT.lines([f'[t] "GET /a?{query}{SECRET} HTTP/1.1" 200 -'.encode()])
    assert found == b'[t] "GET /a HTTP/1.1" 200 -'


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"?")), max_size=5))
def test_any_bytes_are_as_many_lines(lines):
    """Nothing raises, no line is broken, joined or lost."""
    found = DEFAULT.lines(lines)
    assert len(found) == len(lines)
    assert not any(b"\n" in line or b"?" in line for line in found if not line.startswith(b"{"))


def _entry(message):
    entry = message.http_logs.log_entry.add()
    entry.request.path = f"/a?{SECRET}"
    entry.request.original_path = f"/b?{SECRET}"
    entry.request.user_agent = f"curl {SECRET}"
    entry.request.referer = f"https://c/?{SECRET}"
    entry.request.forwarded_for = f"{SECRET}"
    entry.request.authority = "reviews:8080"
    entry.request.request_headers.update(
        {
            "cookie": SECRET,
            "x-request-id": "7",
            "x-envoy-original-path": f"/a?{SECRET}",
            "x-api-key": SECRET,
        }
    )
    entry.response.response_headers.update({"set-cookie": SECRET, "grpc-status": "0"})
    entry.response.response_trailers.update({"grpc-message": SECRET, "grpc-status": "5"})
    common = entry.common_properties
    common.custom_tags.update({"user_agent": SECRET, "tag": f"/x?{SECRET}", "zone": "a"})
    claims = struct_pb2.Struct()
    claims.update({"sub": SECRET})
    common.metadata.filter_metadata["envoy.filters.http.jwt_authn"].CopyFrom(claims)
    common.metadata.filter_metadata["envoy.filters.http.rbac"].update({"policy": "deny-all"})
    common.upstream_cluster = "outbound|8080||reviews"
    return entry


def test_envoys_entries_lose_what_is_private_and_nothing_else():
    """Paths, headers by name, tags, a token's claims; what is not known survives."""
    message = als_pb2.StreamAccessLogsMessage()
    entry = _entry(message)
    unknown = b"\xaa\x7d\x03new"  # field 2005, length 3
    raw = message.SerializeToString()
    found = als_pb2.StreamAccessLogsMessage.FromString(redact_messages.als(DEFAULT)(raw + unknown))
    assert SECRET.encode() not in found.SerializeToString()
    assert unknown in found.SerializeToString()
    (entry,) = found.http_logs.log_entry
    assert (entry.request.path, entry.request.original_path) == ("/a", "/b")
    assert entry.request.authority == "reviews:8080"
    assert dict(entry.request.request_headers) == {
        "x-request-id": "7",
        "x-envoy-original-path": "/a",
    }
    assert dict(entry.response.response_headers) == {"grpc-status": "0"}
    assert dict(entry.response.response_trailers) == {"grpc-status": "5"}
    common = entry.common_properties
    assert dict(common.custom_tags) == {"tag": "/x", "zone": "a"}
    assert list(common.metadata.filter_metadata) == ["envoy.filters.http.rbac"]
    assert common.upstream_cluster == "outbound|8080||reviews"


def test_health_checks_stay_known_as_such():
    """Envoy's user agent for them is nobody's: it stays, in lines, messages and attributes."""
    line = b'{"user_agent":"Envoy/HC","cookie":"c"}'
    assert DEFAULT.lines([line]) == [b'{"user_agent":"Envoy/HC","cookie":null}']
    text = b'[t] "GET /a HTTP/1.1" 200 - ok - "-" 0 95 3 2 "203.0.113.7" "Envoy/HC" "7" "b" "c" d'
    assert DEFAULT.lines([text]) == [text.replace(b"203.0.113.7", b"-")]
    message = als_pb2.StreamAccessLogsMessage()
    request = message.http_logs.log_entry.add().request
    request.user_agent, request.referer = "Envoy/HC", SECRET
    redacted = redact_messages.als(DEFAULT)(message.SerializeToString())
    kept = als_pb2.StreamAccessLogsMessage.FromString(redacted).http_logs.log_entry[0].request
    assert (kept.user_agent, kept.referer) == ("Envoy/HC", "")


def test_an_entry_with_nothing_private_keeps_its_very_bytes():
    """Written anew only when it must be: fields in any order stay so."""
    raw = b"\x12\x08\x12\x06\x12\x04\x2a\x02/a" + b"\xaa\x7d\x03new"
    assert redact_messages.als(DEFAULT)(raw) == raw


def test_envoys_entries_are_hashed(hashing):
    """A header that is hashed is still there, and equal to itself."""
    message = als_pb2.StreamAccessLogsMessage()
    _entry(message)
    found = als_pb2.StreamAccessLogsMessage.FromString(
        redact_messages.als(hashing)(message.SerializeToString())
    )
    (entry,) = found.http_logs.log_entry
    mark = _hash(SECRET.encode())
    assert entry.request.path == f"/a?{mark}"
    assert entry.request.request_headers["cookie"] == mark
    assert entry.request.forwarded_for == mark
    assert SECRET.encode() not in found.SerializeToString()


def test_opentelemetry_records_lose_what_is_private():
    """Attributes by name, at every depth; a body as a line; the resource as well."""
    request = OTLP["ExportLogsServiceRequest"]()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "web"
    resource.resource.attributes.add(key="cookie").value.string_value = SECRET
    scope = resource.scope_logs.add()
    record = scope.log_records.add()
    record.body.string_value = f'"GET /a?{SECRET} HTTP/1.1" 200'
    for key, value in (
        ("http.target", f"/a?{SECRET}"),
        ("user_agent.original", SECRET),
        ("url.query", SECRET),
        ("http.request.header.x_api_key", SECRET),
        ("http.request.header.x-request-id", "7"),
    ):
        record.attributes.add(key=key).value.string_value = value
    nested = record.attributes.add(key="nested").value
    nested.kvlist_value.values.add(key="cookie").value.string_value = SECRET
    nested.kvlist_value.values.add(key="n").value.array_value.values.add(
        bytes_value=f"?{SECRET}".encode()
    )
    other = scope.log_records.add()
    other.body.kvlist_value.values.add(key="path").value.string_value = f"/b?{SECRET}"
    found = OTLP["ExportLogsServiceRequest"].FromString(
        redact_messages.otlp(DEFAULT)(request.SerializeToString())
    )
    assert SECRET.encode() not in found.SerializeToString()
    first, second = found.resource_logs[0].scope_logs[0].log_records
    assert first.body.string_value == '"GET /a HTTP/1.1" 200'
    assert {a.key: a.value.string_value for a in first.attributes} == {
        "http.target": "/a",
        "http.request.header.x-request-id": "7",
        "nested": "",
    }
    assert second.body.kvlist_value.values[0].value.string_value == "/b"
    assert [a.key for a in found.resource_logs[0].resource.attributes] == ["service.name"]


def _field(number: int, value: bytes) -> bytes:
    """One length-delimited field, written by hand."""

    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

    return varint(number << 3 | 2) + varint(len(value)) + value


def test_hubbles_flows_lose_queries_and_headers():
    """Fields this program knows nothing of survive: the verdict, the node's name."""
    secret = SECRET.encode()
    http = (
        b"\x08\xc8\x01"  # code 200
        + _field(3, b"http://reviews/a?" + secret)
        + _field(5, _field(1, b"X-Request-Id") + _field(2, b"7"))
        + _field(5, _field(1, b"Cookie") + _field(2, secret))
    )
    flow = (
        b"\x10\x01"  # verdict FORWARDED
        + _field(15, b"\x08\x01" + _field(101, http))
        + _field(100_000, b"HTTP/1.1 GET http://reviews/a?" + secret)
    )
    response = _field(1, flow) + _field(1000, b"node-1")
    found = redact_messages.hubble(DEFAULT)(response)
    assert secret not in found
    for kept in (b"\x08\xc8\x01", b"\x10\x01", b"http://reviews/a", b"X-Request-Id", b"node-1"):
        assert kept in found
    lost_events = _field(3, b"\x10\x07")
    assert redact_messages.hubble(DEFAULT)(lost_events) == lost_events


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["als", "otlp", "hubble"]))
def test_any_bytes_are_redacted_or_refused(payload, kind):
    """Nothing a peer can send raises anything else."""
    with contextlib.suppress(UnreadableError):
        getattr(redact_messages, kind)(DEFAULT)(payload)


@settings(deadline=None)
@given(queries)
def test_no_query_of_any_shape_leaves_by_envoys_log(query):
    """Path and kept headers, whatever is behind the question mark."""
    message = als_pb2.StreamAccessLogsMessage()
    entry = message.http_logs.log_entry.add()
    entry.request.path = f"/a?{query}{SECRET}{query}"
    entry.request.request_headers[":path"] = f"/a?{query}{SECRET}{query}"
    found = redact_messages.als(DEFAULT)(message.SerializeToString())
    assert SECRET.encode() not in found
