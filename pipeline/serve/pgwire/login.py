"""
The first words of a connection: TLS, who the client is, and what it should know.

Whoever it is, it has `ServeConfig.login_s` for all of this. A role without a
password lets in who comes from this machine, and nobody else. A name that is
no role's is asked for a password all the same.

Before: scram.py. After: session.py.
Source: PostgreSQL 15 manual, 55.2.1, 55.2.10.
"""

import ipaddress
import os
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from collectors.config import ConfigError
from pipeline.config import RoleConfig, ServeConfig
from pipeline.errors import ServeError
from pipeline.serve.catalog import SETTINGS
from pipeline.serve.pgwire import codec, scram
from pipeline.serve.pgwire.codec import Wire

_NOT_ALLOWED: Final = "28000"
_REQUESTS: Final = 3
"""Requests for TLS or GSS before the startup message."""
_TOLD: Final = (
    "server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle",
    "TimeZone", "integer_datetimes", "standard_conforming_strings", "is_superuser",
    "in_hot_standby", "default_transaction_read_only",
)  # fmt: skip
"""Settings a client is told of at once."""
_UTF8: Final = frozenset({"utf8", "utf-8", "unicode", ""})


class Cancelled(NamedTuple):
    """A connection that only wants another's statement to end."""

    number: int
    secret: bytes


class Client(NamedTuple):
    """Who it is, by its own proof."""

    role: str
    minor: int
    """Of the protocol version it speaks."""


class Doorkeeper:
    """
    Lets clients in.

    Parameters
    ----------
    config
        Roles, and whether they need TLS.

    Raises
    ------
    ConfigError
        For a password or certificate that cannot be read.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._secret = secrets.token_bytes(32)
        self._tls = _tls(config)
        self._known = {name: known_of(name, role) for name, role in config.roles.items()}

    def admit(self, wire: Wire, address: str) -> Client | Cancelled | None:
        """
        Ask a client who it is.

        Returns
        -------
        Client, Cancelled or None
            None when it went away instead.

        Raises
        ------
        ServeError
            28P01 or 28000 if it is not let in, 08P01 for what is not the protocol.
        """
        encrypted = False
        for _ in range(_REQUESTS):
            hello = wire.hello()
            match hello.message if hello else None:
                case None:
                    return None
                case codec.SSLRequest() if self._tls and not encrypted:
                    wire.byte(b"S")
                    wire.connection = self._tls.wrap_socket(wire.connection, server_side=True)
                    encrypted = True
                case codec.SSLRequest() | codec.GSSEncRequest():
                    wire.byte(b"N")
                case codec.CancelRequest() as cancel:
                    return Cancelled(cancel.process_id, cancel.secret_key)
                case codec.StartupMessage() as startup:
                    minor = hello.minor if hello else 0
                    return self._login(wire, startup.params, minor, address, encrypted=encrypted)
        raise ServeError(codec.PROTOCOL_VIOLATION, "too many requests before a startup message")

    def _login(
        self, wire: Wire, said: Mapping[str, str], minor: int, address: str, *, encrypted: bool
    ) -> Client | None:
        if self._config.require_tls and not encrypted:
            raise ServeError(_NOT_ALLOWED, "this server takes clients with TLS only")
        user = said.get("user", "")
        if not user:
            raise ServeError(_NOT_ALLOWED, "no user name in the startup message")
        if said.get("replication", "off").lower() not in {"off", "false", "no", "0"}:
            raise ServeError("0A000", "there is nothing to replicate here")
        encoding = said.get("client_encoding", "").strip("'\"").lower()
        if encoding not in _UTF8:
            raise ServeError("22023", f"client_encoding can only be UTF8 here, not {encoding!r}")
        unknown = [name for name in said if name.startswith("_pq_.")]
        if minor > codec.NEWEST_MINOR or unknown:
            wire.put(codec.negotiate(unknown))
        known = self._known.get(user, scram.nobody(user, self._secret))
        if known is None:
            if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
                raise ServeError(
                    _NOT_ALLOWED, f'role "{user}" has no password: it is let in from this machine'
                )
        elif not _proven(wire, known, user):
            return None
        wire.put(codec.ok())
        return Client(user, minor)


def tell(wire: Wire, number: int, secret: bytes) -> None:
    """What a client should know once it is let in."""
    for name in _TOLD:
        wire.put(codec.parameter(name, SETTINGS[name]))
    wire.put(codec.key(number, secret))


def known_of(name: str, role: RoleConfig) -> scram.Verifier | None:
    """
    What is kept of a role's password; None if it has none.

    Raises
    ------
    ConfigError
        If it cannot be read, or there are two.
    """
    given = [key for key in ("password_file", "password_env", "scram") if getattr(role, key)]
    where = f"serve.roles.{name}"
    if not given:
        return None
    if len(given) > 1:
        raise ConfigError(f"{where}: one of {' and '.join(given)}, not both")
    if role.scram:
        try:
            return scram.parse(role.scram)
        except ValueError as error:
            raise ConfigError(f"{where}.scram: {error}") from error
    if role.password_env:
        password = os.environ.get(role.password_env, "")
    else:
        try:
            password = Path(role.password_file).read_text().partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{where}.password_file: {error}") from error
    if not password:
        raise ConfigError(f"{where}.{given[0]}: there is no password in it")
    return scram.verifier(password)


def _tls(config: ServeConfig) -> ssl.SSLContext | None:
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise ConfigError("serve.tls_certificate and serve.tls_key: both or neither")
    if not config.tls_certificate:
        if config.require_tls:
            raise ConfigError("serve.require_tls: needs tls_certificate and tls_key")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"serve.tls_certificate or serve.tls_key: {error}") from error
    return context


def _proven(wire: Wire, known: scram.Verifier, user: str) -> bool:
    """Whether the client knows the password; an error if not, False if it went away."""
    exchange = scram.Exchange(known)
    wire.put(codec.sasl(scram.MECHANISM))
    wire.flush()
    first = wire.login(first=True)
    if first is None:
        return False
    if not isinstance(first, codec.SASLInitialResponse) or first.mechanism != scram.MECHANISM:
        raise ServeError(codec.PROTOCOL_VIOLATION, f"only {scram.MECHANISM} is offered")
    wire.put(codec.sasl_continue(exchange.first(first.data)))
    wire.flush()
    last = wire.login(first=False)
    if last is None:
        return False
    if not isinstance(last, codec.SASLResponse):
        raise ServeError(codec.PROTOCOL_VIOLATION, "expected the client's proof")
    try:
        wire.put(codec.sasl_final(exchange.last(last.data)))
    except ServeError as error:
        if error.sqlstate == scram.WRONG_PASSWORD:
            raise ServeError(
                scram.WRONG_PASSWORD, f'password authentication failed for user "{user}"'
            ) from error
        raise
    return True
