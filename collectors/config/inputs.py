"""
What an agent receives: one struct an input, told apart by ``type``.

The type of an input is the kind of its payloads (`collectors.envelope.GROUPS`).

Before: log.py. After: agent.py, which runs them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collectors.config.aws import AwsInput
from collectors.config.exports import AzureInput, GcpInput
from collectors.config.kubernetes import KubernetesInput
from collectors.config.netbox import NetboxInput
from collectors.config.probe import ProbeInput
from collectors.config.redact import Redact
from collectors.config.sockets import SocketsInput


class UdpInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="netflow"
):
    """NetFlow v5, v9 and IPFIX datagrams on one UDP port."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$",
            description="'address:port'; '[::]:2055' takes IPv4 and IPv6",
        ),
    ] = "127.0.0.1:2055"
    receive_buffer_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 30,
            description="datagrams the kernel holds while the agent is busy; without root it gives"
            " no more than net.core.rmem_max, and the agent tells",
        ),
    ] = 32 * 1024 * 1024
    coalesce_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=50,
            description="rest between two rounds of reading: more costs less CPU, and dates"
            " datagrams that much later",
        ),
    ] = 2.0
    exporter_port: Annotated[
        bool,
        Meta(
            description="tell exporters behind one address apart by their port; a restarted"
            " exporter, with a new port, is then another one"
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.address()[1] > 65_535:  # noqa: PLR2004 the last port
            raise ValueError("listen: expected a port of 0 to 65535")

    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class ProxyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is declared of proxies, where their telemetry does not tell it."""

    mesh: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9_-]{0,40}$",
            description="service mesh the proxies belong to; empty: by the names they use",
        ),
    ] = ""
    proxy_model: Annotated[
        Literal["", "sidecar", "host", "gateway", "waypoint"],
        Meta(
            description="where the proxies stand: one a pod (sidecar), one a node for many pods"
            " (host), gateway, waypoint; empty: as they tell, else not known"
        ),
    ] = ""


class Tail(ProxyInput, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lines of growing, rotating files."""

    paths: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            min_length=1,
            description="files to follow, as globs; name rotated ones too ('access.log*'), for"
            " those that came and were renamed while no agent ran; compressed ones are left out",
        ),
    ]
    exporter: Annotated[
        str, Meta(max_length=1_000, description="who wrote the lines; empty: the path of the file")
    ] = ""
    start: Annotated[
        Literal["beginning", "end"],
        Meta(description="where to begin in files that are there when the agent first runs"),
    ] = "beginning"
    poll_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="milliseconds between two looks at the files")
    ] = 100
    rotate_wait_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="milliseconds a renamed or deleted file must be silent before it is closed",
        ),
    ] = 5_000
    max_line_bytes: Annotated[
        int,
        Meta(ge=1_024, le=524_288, description="longer lines are dropped as line_too_long"),
    ] = 262_144
    position_file: Annotated[
        str, Meta(description="file that holds the places read to; empty: in the spool's folder")
    ] = ""
    redact: Annotated[Redact, Meta(description="what is left out of the lines")] = Redact()


class TailInput(Tail, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="access_log"):
    """Access logs of Envoy: JSON or text lines of growing, rotating files."""

    format: Annotated[
        str,
        Meta(
            max_length=16_384,
            description="how a line is written, as Envoy is told: a format string with %OPERATORS%,"
            " or a JSON object of them; empty: Istio's text or JSON format, told apart by line",
        ),
    ] = ""


class ZtunnelInput(Tail, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ztunnel"):
    """Access logs of ztunnel, the node's proxy of Istio ambient: its log, text or JSON."""


class LinkerdInput(Tail, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="linkerd"):
    """Access logs of linkerd-proxy: its log, JSON or apache."""


class HubbleFileInput(
    Tail, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="hubble_json"
):
    """Flows that Cilium's Hubble exports to files, a JSON object a line."""


class GrpcServer(ProxyInput, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where proxies send their logs to by gRPC; TLS when there is a certificate."""

    tls_cert_file: Annotated[str, Meta(description="PEM file of the certificate to show")] = ""
    tls_key_file: Annotated[str, Meta(description="PEM file of its key")] = ""
    tls_client_ca_file: Annotated[
        str,
        Meta(
            description="PEM file of the authorities of which a client must have a certificate;"
            " empty: whoever reaches the port may send, and name itself as it likes"
        ),
    ] = ""
    max_message_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 26,
            description="a message that is larger is dropped as message_too_large, and one above"
            " twice that ends its stream; a smaller one that is too large for a batch is sent in"
            " parts",
        ),
    ] = 4 * 1024 * 1024
    redact: Annotated[Redact, Meta(description="what is left out of the logs")] = Redact()

    def __post_init__(self) -> None:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_key_file: a certificate and its key are set together")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise ValueError("tls_client_ca_file: needs tls_cert_file and tls_key_file")


_Listen = Annotated[
    str,
    Meta(
        pattern=r"^(unix:/\S+|(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5})$",
        description="'address:port', or 'unix:/path' of a socket; '[::]:19001' takes IPv4 and IPv6",
    ),
]


class AlsInput(GrpcServer, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="als"):
    """Envoy's Access Log Service, version 3: HTTP and TCP logs of connected proxies."""

    listen: _Listen = "127.0.0.1:19001"
    max_streams: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="streams open at a time; a proxy has one for each log and worker thread;"
            " more are refused as too_many_streams",
        ),
    ] = 4_096
    max_identities: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="different node ids in an hour; more are refused as too_many_identities",
        ),
    ] = 10_000


class OtlpLogsInput(
    GrpcServer, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="otlp_logs"
):
    """OpenTelemetry logs by gRPC, as Envoy's OpenTelemetry access logger sends them."""

    listen: _Listen = "127.0.0.1:4317"
    max_calls: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="requests that may be open, unanswered, at a time; more are refused, which"
            " their sender is told, and counted as too_many_streams",
        ),
    ] = 256


_URL = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^\s/?#@]+(/[!-~]*)?|unix:/[^\s:]+:/[!-~]*)\Z",
        description="'http(s)://host:port/path', or 'unix:/path/of.sock:/path'",
    ),
]


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One place to ask; ``http://10.0.0.5:15090/stats/prometheus``."""

    url: Annotated[_URL, Meta(description="where to ask")]
    name: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="who answers, as exporter; a proxy's node id joins it with its logs;"
            " empty: host, port and path of the URL",
        ),
    ] = ""


class Scrape(ProxyInput, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Answers of many HTTP servers, each asked at an interval."""

    targets: Annotated[tuple[Target, ...], Meta(description="whom to ask")] = ()
    targets_file: Annotated[
        str,
        Meta(
            description="JSON file of more targets, as Prometheus's file_sd_configs has them, read"
            " again when it changes: [{'targets': ['10.0.0.5:15020'], 'labels': {...}}], where the"
            " labels __scheme__, __metrics_path__ and instance (the name) count"
        ),
    ] = ""
    interval_s: Annotated[
        float, Meta(ge=0.1, le=3_600, description="seconds between two questions to one target")
    ] = 15.0
    timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=600,
            description="seconds a target has to connect and answer in full, else scrape_timeout",
        ),
    ] = 10.0
    max_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=1 << 26,
            description="a longer answer, unpacked, is dropped as scrape_too_large",
        ),
    ] = 8 * 1024 * 1024
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000, description="targets that are asked at a time")
    ] = 64
    bearer_token_file: Annotated[
        str, Meta(description="file whose text is sent as bearer token, read each time")
    ] = ""
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities to trust; empty: the system's")
    ] = ""
    tls_cert_file: Annotated[
        str, Meta(description="PEM file of the certificate to show, and its key")
    ] = ""
    tls_server_name: Annotated[
        str, Meta(description="name the server's certificate must have; empty: the URL's host")
    ] = ""

    def __post_init__(self) -> None:
        if not self.targets and not self.targets_file:
            raise ValueError("targets: name at least one, or a targets_file")


class PrometheusInput(
    Scrape, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="prometheus"
):
    """Statistics in Prometheus's exposition format: Envoy, ztunnel, Linkerd's proxy, istiod."""


class IstiodInput(Scrape, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="istiod"):
    """istiod's debug endpoints: proxies connected, how far they follow, endpoints by cluster."""

    interval_s: Annotated[
        float, Meta(ge=0.1, le=3_600, description="seconds between two questions to one target")
    ] = 30.0
    endpoints: Annotated[
        tuple[Literal["syncz", "connections", "adsz", "clusterz", "endpointShardz"], ...],
        Meta(min_length=1, description="which to ask, behind the target's URL and /debug/"),
    ] = ("syncz", "clusterz", "endpointShardz")


class HubbleInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="hubble"
):
    """Flows of Cilium's Hubble, asked of one observer by gRPC: a node's, or a cluster's relay."""

    target: Annotated[
        str,
        Meta(
            pattern=r"^(unix:/\S+|(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5})$",
            description="'unix:/path' of a node's socket, or 'host:port' of a node or relay",
        ),
    ] = "unix:/var/run/cilium/hubble.sock"
    tls_ca_file: Annotated[
        str,
        Meta(description="PEM file of the authority of the observer's certificate; empty: no TLS"),
    ] = ""
    tls_server_name: Annotated[
        str, Meta(description="name in that certificate, if it is not the target's")
    ] = ""
    tls_cert_file: Annotated[str, Meta(description="PEM file of the agent's certificate")] = ""
    tls_key_file: Annotated[str, Meta(description="PEM file of its key")] = ""
    retry_s: Annotated[
        float, Meta(ge=0.01, le=600, description="longest rest before an observer is asked again")
    ] = 10.0
    redact: Annotated[Redact, Meta(description="what is left out of the flows")] = Redact()

    def __post_init__(self) -> None:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_key_file: a certificate and its key are set together")
        if (self.tls_cert_file or self.tls_server_name) and not self.tls_ca_file:
            raise ValueError("tls_ca_file: needed for TLS")


Input = (
    UdpInput
    | TailInput
    | ZtunnelInput
    | LinkerdInput
    | HubbleFileInput
    | AlsInput
    | OtlpLogsInput
    | HubbleInput
    | PrometheusInput
    | IstiodInput
    | KubernetesInput
    | AwsInput
    | GcpInput
    | AzureInput
    | NetboxInput
    | ProbeInput
    | SocketsInput
)
"""Every input. One word here adds one."""
