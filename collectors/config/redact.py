"""
What leaves a machine of the telemetry that proxies give of people's requests.

    [agents.inputs.redact]
    query = "drop"              # "hash" to tell two apart, "keep" to keep
    headers = "drop"

Before: log.py. After: inputs.py.
"""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from collectors.toml import ConfigError

Treatment = Literal["drop", "hash", "keep"]

KEY_VARIABLE: Final = "CROSSPANE_REDACT_KEY"
_KEY_BYTES: Final = 16, 64


class Redact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out of requests before they are shipped, or replaced by a keyed hash."""

    query: Annotated[
        Treatment,
        Meta(description="query strings: what follows '?' in paths, URLs and text"),
    ] = "drop"
    headers: Annotated[
        Treatment,
        Meta(description="values of request and response headers that keep_headers does not name"),
    ] = "drop"
    keep_headers: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(max_length=200, description="headers that are kept; 'x-envoy-*' is all that begin so"),
    ] = (
        ":authority",
        ":method",
        ":path",
        ":scheme",
        ":status",
        "b3",
        "content-type",
        "grpc-status",
        "l5d-*",
        "traceparent",
        "x-b3-*",
        "x-envoy-*",
        "x-request-id",
    )
    fields: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/ -]{1,100}$")], ...],
        Meta(
            max_length=200,
            description="fields left out, by name: keys of JSON lines, tags and attributes, fields"
            " of Envoy's messages; case, '-' and '_' are alike",
        ),
    ] = (
        "authorization",
        "cookie",
        "forwarded",
        "forwarded_for",
        "http.user_agent",
        "referer",
        "set_cookie",
        "user_agent",
        "user_agent.original",
        "x_forwarded_for",
    )
    field_treatment: Annotated[
        Treatment, Meta(description="whether those fields are left out, hashed, or kept")
    ] = "drop"
    keep_metadata: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(
            max_length=200,
            description="Envoy's dynamic metadata that is kept, by the filter's name, '*' as in"
            " keep_headers; a filter may have put a token's claims there",
        ),
    ] = ("envoy.filters.http.rbac", "envoy.filters.network.rbac", "istio*")
    key_file: Annotated[
        str,
        Meta(
            description="file with the key of the hashes, 16 to 64 bytes, the same for all agents"
            f" whose hashes are to be compared; else {KEY_VARIABLE}"
        ),
    ] = ""

    def hashes(self) -> bool:
        """Whether anything is to be hashed, so that a key is needed."""
        return "hash" in {self.query, self.headers, self.field_treatment}

    def key(self) -> bytes:
        """
        Give the key of the hashes; empty when nothing is hashed.

        Raises
        ------
        ConfigError
            When there is none, or it is too short or too long.
        """
        if not self.hashes():
            return b""
        if self.key_file:
            try:
                key = Path(self.key_file).read_bytes().strip()
            except OSError as error:
                raise ConfigError(f"redact.key_file: {error}") from error
        elif KEY_VARIABLE in os.environ:
            key = os.environ[KEY_VARIABLE].encode()
        else:
            raise ConfigError(
                f"redact.key_file: not set, and neither is {KEY_VARIABLE}; 'hash' needs a key"
            )
        shortest, longest = _KEY_BYTES
        if not shortest <= len(key) <= longest:
            raise ConfigError(
                f"redact.key_file: the key has {len(key)} bytes, not {shortest} to {longest}"
            )
        return key
