"""Results of probes to rows: values, certificates as openssl prints them, and what is refused."""

import base64
import json
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from hypothesis import given
from hypothesis import strategies as st
from scraped import EPOCH_S, decode

from collectors.pcap import open_capture
from pipeline import schema
from pipeline.decode.x509 import read_certificate

START_NS = EPOCH_S * 10**9
OK = {
    "target": "reviews",
    "kind": "tls",
    "address": "reviews.example:15443",
    "server_name": "reviews.example",
    "attempt": 2,
    "start_ns": START_NS,
    "outcome": "ok",
    "peer": "10.0.0.7:15443",
    "resolve_ms": 0.5,
    "connect_ms": 1.25,
    "tls_ms": 4.5,
    "total_ms": 6.75,
    "tls_version": "TLSv1.3",
}


def given_as(result: dict[str, Any]) -> bytes:
    return json.dumps(result).encode()


def rows(*results: dict[str, Any]) -> list[dict[str, Any]]:
    decoded = decode("probe", *(("reviews", at, given_as(one)) for at, one in enumerate(results)))
    frame = decoded.frames["probes"]
    assert frame.schema == schema.DECODED_PROBES
    assert decoded.rejects.height == 0
    assert decoded.counts["decoded_records"].sum() == len(results)
    return frame.to_dicts()


def test_a_result_is_a_row():
    """Every value in its column; what was not told is null."""
    (row,) = rows(OK)
    told = {name: value for name, value in row.items() if value is not None}
    assert told == {
        "vantage": 0,
        "received_ns": EPOCH_S * 10**9,
        "start_ns": START_NS,
        "target": "reviews",
        "kind": "tls",
        "address": "reviews.example:15443",
        "server_name": "reviews.example",
        "attempt": 2,
        "outcome": "ok",
        "peer_ip_hi": 0,
        "peer_ip_lo": 0xFFFF_0A00_0007,
        "peer_port": 15443,
        "resolve_ms": 0.5,
        "connect_ms": 1.25,
        "tls_ms": 4.5,
        "total_ms": 6.75,
        "tls_version": "TLSv1.3",
    }


def test_failures_and_answers_are_rows_too():
    """A refused try of IPv6, and an HTTP status."""
    refused, answered = rows(
        {
            "target": "a", "kind": "tcp", "outcome": "refused", "start_ns": 1, "error": "no",
            "peer": "[2001:db8::1]:80", "attempt": 1, "address": "[2001:db8::1]:80",
        },
        OK | {"kind": "http", "status": 503, "outcome": "status_unexpected", "first_byte_ms": 0},
    )  # fmt: skip
    assert (refused["outcome"], refused["error"], refused["total_ms"]) == ("refused", "no", None)
    assert (refused["peer_ip_hi"], refused["peer_ip_lo"]) == (0x2001_0DB8_0000_0000, 1)
    assert (answered["status"], answered["first_byte_ms"]) == (503, 0.0)


def test_a_file_of_results_has_one_a_line(tmp_path: Path):
    """So that `crosspane decode --kind probe` reads them."""
    file = tmp_path / "results.jsonl"
    file.write_bytes(given_as(OK) + b"\n" + given_as(OK) + b"\n")
    assert [one.payload for one in open_capture(file, kind="probe")] == [given_as(OK)] * 2


REJECTS = [
    (b"", "payload_empty", "no text"),
    (b"{", "json_malformed", "not one JSON value"),
    (b"\xff", "json_malformed", "not UTF-8"),
    (b"[1]", "json_not_object", "a JSON value, but no object"),
    (b"{}", "required_missing", "start_ns"),
    *(
        (given_as({key: value for key, value in OK.items() if key != name}), "required_missing", name)
        for name in ("target", "kind", "outcome", "start_ns")
    ),
    *(
        (given_as(OK | wrong), "field_invalid", "kind, outcome, attempt, status, time or duration")
        for wrong in (
            {"kind": "icmp"},
            {"outcome": "fine"},
            {"attempt": 0},
            {"attempt": "first"},
            {"start_ns": -1},
            {"start_ns": 2**63},
            {"start_ns": "noon"},
            {"status": 99},
            {"total_ms": -0.5},
            {"connect_ms": "fast"},
            {"tls_ms": 1e10},
        )
    ),
    (given_as(OK | {"certificate": "not base64!"}), "field_invalid", "certificate"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "reason", "detail"), REJECTS)
def test_what_is_no_result_is_refused(payload: bytes, reason: str, detail: str):
    """With its reason, and the good ones beside it are kept."""
    decoded = decode("probe", ("a", 0, given_as(OK)), ("a", 1, payload), ("b", 2, given_as(OK)))
    assert decoded.frames["probes"]["vantage"].to_list() == [0, 1]
    assert decoded.rejects.select("payload", "reason", "detail", "raw").rows() == [
        (1, reason, detail, payload)
    ]
    assert decoded.counts.group_by("vantage", maintain_order=True).sum().select(
        "decoded_payloads", "rejected_payloads", "decoded_records"
    ).rows() == [(1, 1, 1), (1, 0, 1)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    names = "DNS:a.example,URI:spiffe://td/ns/shop/sa/web,IP:10.0.0.1,DNS:*.b.example,IP:2001:db8::1,email:x@y"
    subject = '/C=DE/O=Müller, "Söhne" \\+ Co/OU=#1/CN= web /DC=x'
    issued = Authority(folder, "root").issue("web", names, subject=subject)
    return Path(issued.cert)


def openssl(path: Path, *what: str) -> str:
    command = ["openssl", "x509", "-in", str(path), "-noout", *what]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_certificate_reads_as_openssl_prints_it(certificate: Path):
    """Names with everything that is escaped, serial, times and alternative names."""
    read = read_certificate(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
    assert read is not None
    plain = ("-nameopt", "RFC2253,-esc_msb,utf8")
    assert f"subject={read.subject}" == openssl(certificate, "-subject", *plain)
    assert f"issuer={read.issuer}" == openssl(certificate, "-issuer", *plain)
    assert f"serial={read.serial}" == openssl(certificate, "-serial")
    for when, name in ((read.not_before, "startdate"), (read.not_after, "enddate")):
        shown = openssl(certificate, f"-{name}").partition("=")[2]
        assert when == datetime.strptime(shown, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert read.identities == ["spiffe://td/ns/shop/sa/web"]
    assert read.names == ["a.example", "10.0.0.1", "*.b.example", "2001:db8::1"]


def test_certificates_are_read_once_and_told_in_each_row(certificate: Path):
    """One that is none keeps its fingerprint alone; a try without one has nothing of it."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    shown = [base64.b64encode(one).decode() for one in (der, b"no certificate")]
    first, none, unreadable, again = rows(
        OK | {"certificate": shown[0]},
        OK,
        OK | {"certificate": shown[1]},
        OK | {"certificate": shown[0]},
    )
    columns = [name for name in first if name.startswith("certificate_")]
    told = {name: first[name] for name in columns}
    print_ = openssl(certificate, "-fingerprint", "-sha256").partition("=")[2]
    assert told["certificate_sha256"] == print_.replace(":", "").lower()
    assert told["certificate_identities"] == ["spiffe://td/ns/shop/sa/web"]
    assert None not in told.values()
    assert told == {name: again[name] for name in columns}
    assert {none[name] for name in columns} == {None}
    assert {name: unreadable[name] for name in columns if unreadable[name]} == {
        "certificate_sha256": "de826f9e5acba22f80b95e447f9a1a29db2441d3f8dee9d83dfbb0e52370dfc0"
    }


@given(st.lists(st.binary(max_size=500) | st.text().map(str.encode), max_size=5))
def test_any_bytes_are_rows_or_rejects(payloads: list[bytes]):
    """Nothing that is sent raises; all of it is counted."""
    decoded = decode("probe", *(("a", 0, payload) for payload in payloads))
    assert len(decoded.frames["probes"]) + len(decoded.rejects) == len(payloads)


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)


@given(
    st.dictionaries(
        st.sampled_from([*OK, "status", "certificate", "error"]),
        _VALUES | st.lists(_VALUES, max_size=2),
    )
)
def test_any_values_are_a_row_or_a_reject(wrong: dict[str, Any]):
    """Of whatever type they are."""
    decoded = decode("probe", ("a", 0, given_as(OK | wrong)), ("a", 0, given_as(OK)))
    assert len(decoded.frames["probes"]) + len(decoded.rejects) == 2


@given(st.data())
def test_any_bytes_are_a_certificate_or_none(certificate: Path, data: st.DataObject):
    """Random bytes, and a real one with some of its bytes changed or cut off."""
    assert read_certificate(data.draw(st.binary(max_size=200))) is None
    der = bytearray(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(der) - 1), st.integers(0, 255)), max_size=4)
    ):
        der[at] = byte
    read_certificate(bytes(der))
    assert read_certificate(bytes(der[: data.draw(st.integers(0, len(der) - 1))])) is None
