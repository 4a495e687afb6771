"""
SCRAM-SHA-256: a client proves that it knows a password, and the server that it knew it once.

    client  n,,n=user,r=<client nonce>
    server  r=<client nonce><server nonce>,s=<salt>,i=<iterations>
    client  c=biws,r=<both nonces>,p=<proof>
    server  v=<signature>

The password is not kept, but a verifier, as PostgreSQL keeps it:

    SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>

all three in base64. A user that does not exist has a verifier too, made of the
name and a secret of this process: how the server answers does not tell who exists.

Before: codec.py. After: login.py.
Source: RFC 5802, RFC 7677; PostgreSQL manual, 55.3.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from typing import Final, NamedTuple

from pipeline.errors import ServeError

MECHANISM: Final = "SCRAM-SHA-256"
WRONG_PASSWORD: Final = "28P01"  # noqa: S105 - an SQLSTATE
_BAD_MESSAGE: Final = "08P01"
_ITERATIONS: Final = 4_096
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 18
_VERIFIER: Final = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
_FIRST: Final = re.compile(
    rb"([nyp][^,]*),([^,]*),((?:m=[^,]*,)?n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)"
)
_LAST: Final = re.compile(rb"(c=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,[^,]*)*),p=([^,]*)")


class Verifier(NamedTuple):
    """What is kept of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        salt, stored, server = map(_base64, (self.salt, self.stored_key, self.server_key))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def verifier(password: str, *, salt: bytes = b"", iterations: int = _ITERATIONS) -> Verifier:
    """What to keep of a password; with a new salt if none is given."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    client_key = _hmac(salted, b"Client Key")
    return Verifier(
        iterations, salt, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key")
    )


def parse(text: str) -> Verifier:
    """
    A verifier as PostgreSQL writes it.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = _VERIFIER.fullmatch(text)
    if not found:
        raise ValueError("not SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>")
    salt, stored, server = (base64.b64decode(part, validate=True) for part in found.groups()[1:])
    if len(stored) != len(server) or len(server) != hashlib.sha256().digest_size:
        raise ValueError("a key of another length than SHA-256's")
    return Verifier(int(found[1]), salt, stored, server)


def nobody(user: str, secret: bytes) -> Verifier:
    """A verifier no password has, the same each time for the same name."""
    salt = _hmac(secret, b"salt" + user.encode())[:_SALT_BYTES]
    return Verifier(_ITERATIONS, salt, secrets.token_bytes(32), secrets.token_bytes(32))


def prepared(password: str) -> str:
    r"""
    A password as SASLprep makes it, or as it is where that is not defined (RFC 4013).

    >>> prepared("I\u00adX"), prepared("\u2168"), prepared("\u0007")
    ('IX', 'IX', '\x07')
    """
    kept = (c for c in password if not stringprep.in_table_b1(c))
    spaced = "".join(" " if stringprep.in_table_c12(c) else c for c in kept)
    normal = unicodedata.normalize("NFKC", spaced)
    prohibited = (
        stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22,
        stringprep.in_table_c3, stringprep.in_table_c4, stringprep.in_table_c5,
        stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
        stringprep.in_table_c9,
    )  # fmt: skip
    if not normal or any(is_in(c) for c in normal for is_in in prohibited):
        return password
    if any(map(stringprep.in_table_d1, normal)) and (
        any(map(stringprep.in_table_d2, normal))
        or not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1]))
    ):
        return password
    return normal


class Exchange:
    """
    The server's side of one proof.

    Parameters
    ----------
    known
        What is kept of the user's password.
    nonce
        The server's, for tests; else a new one.
    """

    def __init__(self, known: Verifier, *, nonce: str = "") -> None:
        self._known = known
        self._nonce = (nonce or _base64(secrets.token_bytes(_NONCE_BYTES))).encode()
        self._said = b""
        self._both = b""
        self._header = b""

    def first(self, message: bytes) -> bytes:
        """
        Client's first message to the server's.

        Raises
        ------
        ServeError
            08P01 for what is not SCRAM, or asks for what is not offered.
        """
        found = _FIRST.fullmatch(message)
        if not found:
            raise ServeError(_BAD_MESSAGE, "malformed SCRAM message")
        binding, authorize, bare, nonce = found.groups()
        if binding.startswith(b"p"):
            raise ServeError(_BAD_MESSAGE, "channel binding was not offered")
        if bare.startswith(b"m=") or authorize:
            raise ServeError("0A000", "SCRAM extensions and authorization as another: not offered")
        self._header = binding + b"," + authorize + b","
        self._both = nonce + self._nonce
        answer = b"r=%b,s=%b,i=%d" % (
            self._both,
            base64.b64encode(self._known.salt),
            self._known.iterations,
        )
        self._said = bare + b"," + answer
        return answer

    def last(self, message: bytes) -> bytes:
        """
        Client's proof to the server's.

        Raises
        ------
        ServeError
            28P01 if the password is another, 08P01 for what is not SCRAM.
        """
        found = _LAST.fullmatch(message)
        try:
            without, header, nonce, proof = found.groups() if found else (b"", b"", b"", b"")
            header_said = base64.b64decode(header, validate=True)
            proven = base64.b64decode(proof, validate=True)
        except binascii.Error as error:
            raise ServeError(_BAD_MESSAGE, "malformed SCRAM message") from error
        if not found or header_said != self._header or len(proven) != len(self._known.stored_key):
            raise ServeError(_BAD_MESSAGE, "malformed SCRAM message")
        said = self._said + b"," + without
        signature = _hmac(self._known.stored_key, said)
        client_key = bytes(a ^ b for a, b in zip(proven, signature, strict=True))
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._known.stored_key)
        if not right or not hmac.compare_digest(nonce, self._both):
            raise ServeError(WRONG_PASSWORD, "password authentication failed")
        return b"v=" + base64.b64encode(_hmac(self._known.server_key, said))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
