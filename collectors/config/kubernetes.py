"""
The input that watches an API server.

Before: inputs.py. After: agent.py, which runs it.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from collectors.kubernetes.resources import RESOURCES


class KubernetesInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="kubernetes"
):
    """
    Objects of an API server, listed and watched: pods, nodes, services, and what meshes add.

    It is the API server of the agent's cluster. Without ``server`` or
    ``kubeconfig``: the one of the pod the agent runs in, else ``~/.kube/config``.
    """

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="name of the source, as exporter; under another name all its objects are"
            " other ones",
        ),
    ] = "kube-apiserver"
    kubeconfig: Annotated[str, Meta(description="file with the server and how to log in")] = ""
    context: Annotated[
        str, Meta(description="context of the kubeconfig; empty: its current one")
    ] = ""
    server: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+(/[!-~]*)?)?\Z",
            description="'https://host:port' of the server, instead of a kubeconfig",
        ),
    ] = ""
    ca_file: Annotated[
        str, Meta(description="PEM file of the server's authority; empty: the system's")
    ] = ""
    token_file: Annotated[
        str, Meta(description="file of the bearer token, read again when it is refused")
    ] = ""
    tls_cert_file: Annotated[
        str, Meta(description="PEM file of the certificate to show, instead of a token")
    ] = ""
    tls_key_file: Annotated[str, Meta(description="PEM file of its key")] = ""
    tls_server_name: Annotated[
        str, Meta(description="name in the server's certificate, if it is not the host's")
    ] = ""
    without: Annotated[
        tuple[str, ...],
        Meta(description="resources that are not watched, by their name in docs/how-to/kubernetes"),
    ] = ()
    page_size: Annotated[int, Meta(ge=1, le=5_000, description="objects asked for at a time")] = 500
    retry_s: Annotated[
        float, Meta(ge=0.1, le=600, description="longest rest before a server is asked again")
    ] = 30.0
    absent_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="seconds until a resource that is not there, or not permitted, is looked"
            " for again",
        ),
    ] = 120.0
    silence_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3_600,
            description="seconds without a byte after which a connection is given up; servers write"
            " to each about once a minute",
        ),
    ] = 180.0
    relist_s: Annotated[
        float,
        Meta(
            ge=1,
            le=604_800,
            description="seconds after which all is listed anew; keep it below the log's retention,"
            " of which a job that starts afresh reads",
        ),
    ] = 21_600.0

    def __post_init__(self) -> None:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_key_file: a certificate and its key are set together")
        if self.server and (self.kubeconfig or self.context):
            raise ValueError("server: either this, or kubeconfig and context")
        if (self.tls_cert_file or self.ca_file or self.token_file) and self.kubeconfig:
            raise ValueError("kubeconfig: has its own certificates and tokens")
        unknown = sorted(set(self.without) - set(RESOURCES))
        if unknown:
            raise ValueError(f"without: {unknown[0]} is none of {', '.join(RESOURCES)}")
