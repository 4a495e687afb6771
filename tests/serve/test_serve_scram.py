"""SCRAM-SHA-256, beside the exchange that RFC 7677 prints."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ServeError
from pipeline.serve.pgwire import scram

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
CHALLENGE = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
WITHOUT = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PROOF = b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
PENCIL = scram.verifier("pencil", salt=SALT)


def test_the_rfcs_exchange():
    """Both of the server's messages are the RFC's, and its client is let in."""
    exchange = scram.Exchange(PENCIL, nonce=NONCE)
    assert exchange.first(FIRST) == CHALLENGE
    assert exchange.last(WITHOUT + PROOF) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def _proof(password: str) -> bytes:
    """What a client of another password says, by the RFC's formulas."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    key = hmac.digest(salted, b"Client Key", "sha256")
    said = FIRST[3:] + b"," + CHALLENGE + b"," + WITHOUT
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    return b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (WITHOUT + _proof("pen"), "28P01"),
        (WITHOUT.replace(b"0,", b"1,") + PROOF, "28P01"),
        (WITHOUT.replace(b"%hv", b"%hw") + PROOF, "28P01"),
        (WITHOUT.replace(b"biws", b"eSws") + PROOF, "08P01"),
        (WITHOUT + b",p=AAAA", "08P01"),
        (WITHOUT + b",p=not base64", "08P01"),
        (b"", "08P01"),
    ],
    ids=["password", "proof", "nonce", "binding", "short", "letters", "nothing"],
)
def test_another_proof_is_refused(last: bytes, state: str):
    """A wrong password, and a proof of something else, each with its SQLSTATE."""
    exchange = scram.Exchange(PENCIL, nonce=NONCE)
    exchange.first(FIRST)
    if last == WITHOUT + PROOF:
        last = last.replace(b"dHzb", b"dHzc")
    with pytest.raises(ServeError) as refused:
        exchange.last(last)
    assert refused.value.sqlstate == state


@pytest.mark.parametrize(
    "first",
    [
        b"p=tls-unique,,n=,r=abc",
        b"n,a=other,n=,r=abc",
        b"n,,m=must,n=,r=abc",
        b"n,,n=,r=",
        b"n,,n=,r=a b",
        b"",
    ],
)
def test_what_is_not_offered_is_refused(first: bytes):
    """Channel binding, another's name, extensions, no nonce."""
    with pytest.raises(ServeError) as refused:
        scram.Exchange(PENCIL).first(first)
    assert refused.value.sqlstate in {"08P01", "0A000"}


def test_a_verifier_is_written_as_postgresql_writes_it():
    """The form of pg_authid, there and back; the keys are those of the RFC's password."""
    text = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert str(PENCIL) == text
    assert scram.parse(text) == PENCIL


@pytest.mark.parametrize(
    "text", ["", "md5aaaa", "SCRAM-SHA-256$4096:AA==$AA==:AA==", "SCRAM-SHA-256$x:AA==$AA==:AA=="]
)
def test_what_is_no_verifier_is_refused(text: str):
    """Another scheme, keys of another length, no number."""
    with pytest.raises(ValueError, match="SCRAM|length"):
        scram.parse(text)


def test_a_user_that_is_not_there_looks_like_one():
    """The salt is the same each time for a name, and another for another name or server."""
    salt = scram.nobody("eve", b"secret").salt
    assert len(salt) == 16
    assert scram.nobody("eve", b"secret").salt == salt
    assert scram.nobody("eva", b"secret").salt != salt
    assert scram.nobody("eve", b"other").salt != salt


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_refused(first: bytes, last: bytes):
    """Nothing a client can say ends in anything but a refusal."""
    exchange = scram.Exchange(PENCIL)
    for step, said in ((exchange.first, first), (exchange.last, last)):
        with pytest.raises(ServeError):
            step(said)
