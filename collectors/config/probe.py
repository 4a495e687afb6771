"""
The input that probes: tries to reach what others should reach, and says how it went.

Before: inputs.py. After: agent.py, which runs it.
"""

from collections import Counter
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

_MAX_PORT: Final = 65_535
_PORT: Final = r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/@]+):[0-9]{1,5}"


class ProbeTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is tried: a TCP connection, a TLS handshake, or an HTTP/1.1 request."""

    name: Annotated[
        str, Meta(min_length=1, max_length=200, description="name of the target, as exporter")
    ]
    kind: Annotated[
        Literal["tcp", "tls", "http"],
        Meta(description="tcp: until connected; tls: until the handshake; http: until the answer"),
    ]
    address: Annotated[
        str,
        Meta(max_length=300, pattern=rf"^({_PORT})?\Z", description="'host:port', of tcp and tls"),
    ] = ""
    url: Annotated[
        str,
        Meta(
            max_length=2_000,
            pattern=r"^(https?://[^\s/?#@]+(/[!-~]*)?)?\Z",
            description="'http(s)://host:port/path', of http",
        ),
    ] = ""
    attempts: Annotated[
        int, Meta(ge=1, le=100, description="tries of a round, one after the other")
    ] = 3
    interval_s: Annotated[float, Meta(ge=0.1, le=86_400, description="seconds of a round")] = 15.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds of one try, else its outcome is timeout")
    ] = 3.0
    echo: Annotated[
        bool,
        Meta(
            description="of tcp and tls: send 16 bytes and expect them back, as `listen` of another"
            " agent gives them: a proxy in between may connect before it has reached anyone"
        ),
    ] = False
    method: Annotated[Literal["GET", "HEAD", "OPTIONS"], Meta(description="of http")] = "GET"
    host: Annotated[
        str,
        Meta(max_length=300, pattern=r"^[!-~]*\Z", description="Host to ask for; empty: the URL's"),
    ] = ""
    status: Annotated[
        tuple[Annotated[int, Meta(ge=100, le=599)], ...],
        Meta(description="statuses that are ok; empty: 200 to 399"),
    ] = ()
    server_name: Annotated[
        str,
        Meta(
            max_length=255,
            pattern=r"^([!-\-/-~][!-~]*)?\Z",
            description="TLS server name to send (SNI), which the certificate must have, too;"
            " empty: the host",
        ),
    ] = ""
    alpn: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+\Z")], ...],
        Meta(description="protocols to offer by ALPN; an east-west gateway of Istio wants 'istio'"),
    ] = ()
    verify: Annotated[
        Literal["name", "chain", "nothing"],
        Meta(
            description="name: an authority that is trusted signed the certificate, for that name;"
            " chain: for whatever name; nothing: any certificate is ok"
        ),
    ] = "name"
    identity: Annotated[
        str,
        Meta(
            max_length=2_048,
            pattern=r"^(spiffe://[!-~]+)?\Z",
            description="SPIFFE ID the certificate must have, in place of the name",
        ),
    ] = ""
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities to trust; empty: the system's")
    ] = ""
    tls_cert_file: Annotated[
        str, Meta(description="PEM file of the certificate to show, read again when it changes")
    ] = ""
    tls_key_file: Annotated[
        str, Meta(description="PEM file of its key; empty: in the certificate's file")
    ] = ""

    def __post_init__(self) -> None:
        wanted, other = ("url", "address") if self.kind == "http" else ("address", "url")
        if not getattr(self, wanted) or getattr(self, other):
            raise ValueError(f"{wanted}: what a target of kind {self.kind} has, and no {other}")
        try:
            _, port = self.place()
        except ValueError:
            port = -1
        if not 0 < port <= _MAX_PORT:
            raise ValueError(f"{wanted}: expected a port of 1 to {_MAX_PORT}")
        if self.identity and self.verify == "nothing":
            raise ValueError("identity: verify = 'nothing' takes any certificate")
        if self.echo and self.kind == "http":
            raise ValueError("echo: is of tcp and tls")
        if self.tls_key_file and not self.tls_cert_file:
            raise ValueError("tls_cert_file: a certificate and its key are set together")
        if self.attempts * self.timeout_s > self.interval_s:
            raise ValueError("interval_s: as long as attempts times timeout_s, or longer")

    def place(self) -> tuple[str, int]:
        """Host and port to connect to."""
        if self.kind == "http":
            parts = urlsplit(self.url)
            return parts.hostname or "", parts.port or (443 if self.tls() else 80)
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def tls(self) -> bool:
        """Whether there is a handshake."""
        return self.kind == "tls" or self.url.startswith("https:")


class ProbeInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="probe"
):
    """Active probes of other places, and answers to those of other agents."""

    targets: Annotated[
        tuple[ProbeTarget, ...], Meta(max_length=10_000, description="whom to try")
    ] = ()
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000, description="tries at a time; more wait for their turn")
    ] = 64
    listen: Annotated[
        str,
        Meta(
            pattern=rf"^({_PORT})?\Z",
            description="'address:port' where other agents' probes are answered: 204 to HTTP, an"
            " echo to anything else; '[::]:7007' takes IPv4 and IPv6; empty: nowhere",
        ),
    ] = ""
    listen_cert_file: Annotated[
        str, Meta(description="PEM file of the certificate to show there; empty: no TLS")
    ] = ""
    listen_key_file: Annotated[
        str, Meta(description="PEM file of its key; empty: in the certificate's file")
    ] = ""
    listen_client_ca_file: Annotated[
        str,
        Meta(description="PEM file of the authorities of which a client must have a certificate"),
    ] = ""

    def __post_init__(self) -> None:
        if not self.targets and not self.listen:
            raise ValueError("targets: name at least one, or listen")
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise ValueError(f"targets: two are named {twice!r}")
        if self.listen and self.listen_address()[1] > _MAX_PORT:
            raise ValueError(f"listen: expected a port of 0 to {_MAX_PORT}")
        if (self.listen_key_file or self.listen_client_ca_file) and not self.listen_cert_file:
            raise ValueError("listen_cert_file: needed for TLS")
        if self.listen_cert_file and not self.listen:
            raise ValueError("listen: where the certificate is shown")

    def listen_address(self) -> tuple[str, int]:
        """Host and port of ``listen``."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
