"""
The input that asks NetBox for its IP plan.

Before: inputs.py. After: agent.py, which runs it.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


class NetboxInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="netbox"
):
    """Prefixes and addresses of NetBox, by its REST API."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?\Z",
            description="where NetBox is, without 'api': 'https://netbox.example.com'",
        ),
    ]
    name: Annotated[
        str, Meta(min_length=1, max_length=200, description="name of the source, as exporter")
    ] = "netbox"
    token_file: Annotated[
        str,
        Meta(description="file whose text is the API token, read each time; empty: none is sent"),
    ] = ""
    interval_s: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds between two questions")
    ] = 300.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds the server may be silent in an answer")
    ] = 30.0
    page_size: Annotated[
        int, Meta(ge=1, le=10_000, description="objects of a page; NetBox gives no more than 1000")
    ] = 500
    max_bytes: Annotated[
        int, Meta(ge=1_024, le=1 << 28, description="a larger page is not read")
    ] = 32 * 1024 * 1024
    max_objects: Annotated[
        int, Meta(ge=1, le=100_000_000, description="a list with more objects is given up")
    ] = 2_000_000
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities to trust; empty: the system's")
    ] = ""
    tls_cert_file: Annotated[
        str, Meta(description="PEM file of the certificate to show, and its key")
    ] = ""
