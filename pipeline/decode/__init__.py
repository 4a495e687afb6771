"""
Payload bytes to columns: the contract of every decoder, and the table of them.

A decoder takes `Payloads` (n raw payloads of one kind, of any number of
exporters, in log order) and gives `Decoded`: frames of rows, rejects, and
counts that account for every payload. It never raises for what is in a
payload, and runs no Python per record.

What a decoder remembers between calls (templates, sequence numbers, sampling
rates) is a function of the log alone, kept apart by log partition. `snapshot`
and `restore` carry it over a restart: the job restores the last snapshot and
decodes again, without keeping the rows, from there to the committed offset.

A package for each family of formats, its parts listed in its own words:

    netflow      datagrams of NetFlow v5, v9 and IPFIX, told apart by version
    access_log   access logs of Envoy, text and JSON, of any format that is declared
    als          messages of Envoy's access log service
    otlp         access logs as OpenTelemetry carries them
    ztunnel, linkerd   access logs of those proxies
    hubble       flows of Cilium, as protobuf and as exported JSON
    prometheus   scrapes of proxies and control planes
    istiod       answers of istiod's debug endpoints
    probe        results of active probes
    sockets      what TCP connections did, as the kernel counts

and what they share:

    protobuf     messages to columns, many at a time
    lines, json_lines   payloads to lines of text, lines to fields
    addresses, rfc3339  addresses and times as text
    x509         certificates
    meshes       how each mesh names services
    envoy_node, response_flags   what a proxy says of itself, and of failures
    requests     columns of any proxy's telemetry to rows of the one model
    outcome      rejects and counts

Before: run.py. After: rejects.py, normalize.py.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.log import Place


class Declared(NamedTuple):
    """What an agent's configuration says of what it reads; see `collectors.envelope.Header`."""

    format: str = ""
    mesh: str = ""
    proxy_model: str = ""


class Source(NamedTuple):
    """Who sent a payload, by whom it was taken, and where it is in the log."""

    place: Place
    agent: str
    cluster: str
    network: str
    exporter: str
    declared: Declared = Declared()


class Vantage(NamedTuple):
    """Who saw what a row tells: a `Source`, and the exporting process in it."""

    source: Source
    format: str
    """``netflow5``, ``netflow9``, ``ipfix``, ``inet_diag``, ``envoy_json``... or ``unknown``."""
    observation_domain: int
    """IPFIX observation domain, v9 source id, v5 engine type << 8 | engine id; else 0."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """
    n raw payloads of one kind, in log order.

    Attributes
    ----------
    sources
        The distinct sources.
    source
        int32[n], index into ``sources``.
    received_ns
        int64[n], UTC nanoseconds.
    payload
        binary[n], no nulls (one chunk).
    """

    sources: list[Source]
    source: npt.NDArray[np.int32]
    received_ns: npt.NDArray[np.int64]
    payload: pa.BinaryArray


@dataclass(slots=True)
class Decoded:
    """
    What n payloads gave.

    Attributes
    ----------
    vantages
        Those the rows below speak of, by index.
    frames
        Table name to rows; for flows the columns of `schema.DECODED_FLOWS`,
        for requests those of `schema.DECODED_REQUESTS`.
    rejects
        Columns of `rejects.FRAME`.
    counts
        Columns of `accounting.FRAME`: one row per vantage and minute of
        receipt that had any payload.
    """

    vantages: list[Vantage]
    frames: dict[str, pl.DataFrame]
    rejects: pl.DataFrame
    counts: pl.DataFrame


class Stateless:
    """What a decoder has that remembers nothing: each payload stands for itself."""

    def snapshot(self, place: Place) -> bytes:
        """Nothing."""
        del place
        return b""

    def restore(self, place: Place, state: bytes) -> None:
        """Nothing to forget."""
        del place, state


class Decoder(Protocol):
    """One kind of payload, with what it remembers of each log partition."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these payloads, and of those that waited for them."""

    def snapshot(self, place: Place) -> bytes:
        """What is remembered of one partition; empty if nothing."""

    def restore(self, place: Place, state: bytes) -> None:
        """Replace what is remembered of one partition by a `snapshot`; empty forgets it."""
