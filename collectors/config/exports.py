"""
Inputs that read what a cloud's own tools wrote, or write: exports of inventory.

Before: inputs.py. After: agent.py, which runs them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


class Exports(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files, or commands whose output is JSON: together all there is of what is in them."""

    files: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            description="files to read, as globs; all are read again when one has changed, and"
            " every hour"
        ),
    ] = ()
    commands: Annotated[
        tuple[
            Annotated[tuple[Annotated[str, Meta(max_length=10_000)], ...], Meta(min_length=1)], ...
        ],
        Meta(
            description="programs with arguments, run without a shell, with the agent's"
            " environment and so its credentials; what they print is read"
        ),
    ] = ()
    scope: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="what one answer lists all of; empty: each project or subscription in it",
        ),
    ] = ""
    interval_s: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds between two looks, or runs")
    ] = 300.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=3_600, description="seconds a command has; then it is ended")
    ] = 120.0
    max_bytes: Annotated[
        int,
        Meta(ge=1_024, le=1 << 30, description="a larger file or output is not read"),
    ] = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        if not self.files and not self.commands:
            raise ValueError("files: name files, or commands")


class GcpInput(Exports, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="gcp"):
    """Google Cloud: exports of Cloud Asset Inventory, lists of the Compute and GKE APIs."""

    name: Annotated[
        str, Meta(min_length=1, max_length=200, description="name of the source, as exporter")
    ] = "gcp"


class AzureInput(Exports, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="azure"):
    """Azure: answers of Resource Graph and of Resource Manager, output of the ``az`` program."""

    name: Annotated[
        str, Meta(min_length=1, max_length=200, description="name of the source, as exporter")
    ] = "azure"
