"""
Ways into other networks: addresses and ports, and the network behind them.

    Istio     Service or Gateway of topology.istio.io/network   15443 TLS by SNI, 15008 HBONE
    Linkerd   Link                                              the target's gateway
    Kuma      ZoneIngress                                       the zone's ingress

A public address is seen from `INTERNET`, any other from the agent's network.
What is behind is the agent's network if the mesh calls that so; else it has the
mesh's name for it: ``network-2``, ``linkerd/west``, ``kuma/east``.

Source: Istio pilot/pkg/serviceregistry/kube/controller/network.go, and
pilot/pkg/config/kube/gateway: what makes a listener pass through.
Before: nodes.py. After: services.py.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.inventory.sources import Claim, GatewayClaim
from pipeline.inventory.sources.kubernetes.addresses import addresses, place
from pipeline.inventory.sources.kubernetes.board import NETWORK, Here, Kept, Topic

_Port = Annotated[int, Meta(ge=1, le=65_535)]

_PASSTHROUGH: Final = 15_443
_HBONE: Final = 15_008
_MAX_PORT: Final = 65_535


def ways(ports: tuple[int, ...], label: str | None) -> tuple[int, ...]:
    """
    Of the ports of an Istio gateway's Service, those that lead into its network.

    Parameters
    ----------
    label
        ``networking.istio.io/gatewayPort``, instead of 15443.
    """
    leading = {_passthrough(label), _HBONE}
    return tuple(port for port in dict.fromkeys(ports) if port in leading)


def _passthrough(label: str | None) -> int:
    if label and label.isascii() and label.isdecimal() and len(label) <= len(str(_MAX_PORT)):
        return int(label)
    return _PASSTHROUGH


# --- Gateway API ---------------------------------------------------------------


class _GatewayLabels(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "network": "topology.istio.io/network",
        "cluster": "topology.istio.io/cluster",
        "port": "networking.istio.io/gatewayPort",
    },
):
    network: str | None = None
    cluster: str | None = None
    port: str | None = None


class _GatewayMeta(msgspec.Struct, frozen=True, gc=False):
    name: str
    labels: _GatewayLabels | None = None


class _Options(
    msgspec.Struct, frozen=True, gc=False, rename={"protocol": "gateway.istio.io/listener-protocol"}
):
    protocol: str | None = None


class _Tls(msgspec.Struct, frozen=True, gc=False):
    mode: str | None = None
    options: _Options | None = None


class _Listener(msgspec.Struct, frozen=True, gc=False):
    port: _Port
    protocol: str | None = None
    tls: _Tls | None = None

    def leads(self, passthrough: int) -> bool:
        """Whether it leads into its network, and does not just serve what is named there."""
        tls = self.tls or _Tls()
        if self.protocol == "HBONE":
            return tls.mode == "Terminate"
        automatic = tls.options is not None and tls.options.protocol == "auto-passthrough"
        return (
            self.protocol == "TLS"
            and tls.mode == "Passthrough"
            and (automatic or self.port == passthrough)
        )


class _Address(msgspec.Struct, frozen=True, gc=False):
    value: str = ""


class _GatewaySpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    gateway_class_name: str | None = None
    addresses: tuple[_Address, ...] | None = None
    listeners: tuple[_Listener, ...] | None = None


class _GatewayStatus(msgspec.Struct, frozen=True, gc=False):
    addresses: tuple[_Address, ...] | None = None


class _GatewayObject(msgspec.Struct, frozen=True, gc=False):
    metadata: _GatewayMeta
    spec: _GatewaySpec | None = None
    status: _GatewayStatus | None = None


class Gateway(Kept, frozen=True, gc=False):
    """
    A way into a network.

    Attributes
    ----------
    network, cluster
        What the mesh calls what is behind; None: ours.
    local
        Whether the network may be ours under the mesh's name; a remote one's is not.
    """

    name: str
    ips: tuple[str, ...]
    ports: tuple[int, ...]
    network: str | None
    cluster: str | None
    local: bool

    def reads(self) -> Sequence[Topic]:
        """How the mesh calls our network."""
        return [NETWORK] if self.local else ()

    def claims(self, here: Here) -> list[Claim]:
        """Each address with each port."""
        behind = here.network_of(self.network) if self.local else self.network
        return [
            GatewayClaim(
                place(ip, here.network),
                ip,
                port,
                self.cluster or here.cluster,
                behind or here.network,
                self.name,
            )
            for ip in self.ips
            for port in self.ports
        ]


_decode_gateway = msgspec.json.Decoder(_GatewayObject).decode


def read_gateway(text: bytes) -> Kept:
    """
    Keep a Gateway that leads into another network.

    One of class ``istio-remote`` tells of another cluster's gateway, by its network; where it does
    not tell the cluster too, the cluster goes by the network's name.
    """
    found = _decode_gateway(text)
    meta, spec = found.metadata, found.spec or _GatewaySpec()
    labels, name = meta.labels or _GatewayLabels(), spec.gateway_class_name or ""
    remote = name == "istio-remote"
    port = _passthrough(labels.port)
    ports = tuple(one.port for one in spec.listeners or () if one.leads(port))
    told = spec.addresses if remote else found.status and found.status.addresses
    ips = addresses(tuple(one.value for one in told or ()))
    ours = name == "istio-east-west" or labels.network
    if not ips or not ports or not (labels.network if remote else ours):
        return Kept()
    cluster = (labels.cluster or labels.network) if remote else None
    return Gateway(meta.name, ips, tuple(dict.fromkeys(ports)), labels.network, cluster, not remote)


# --- Linkerd -------------------------------------------------------------------


class _LinkSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    target_cluster_name: str
    gateway_address: str | None = None
    gateway_port: str | int | None = None


class _LinkMeta(msgspec.Struct, frozen=True, gc=False):
    name: str


class _Link(msgspec.Struct, frozen=True, gc=False):
    metadata: _LinkMeta
    spec: _LinkSpec


_decode_link = msgspec.json.Decoder(_Link).decode


def read_link(text: bytes) -> Kept:
    """Keep the gateway of the cluster a Link targets; none in a flat network."""
    found = _decode_link(text)
    spec, name = found.spec, found.metadata.name
    ips = addresses(tuple(one.strip() for one in (spec.gateway_address or "").split(",")))
    port = str(spec.gateway_port)
    if not ips or not spec.target_cluster_name or not (port.isascii() and port.isdecimal()):
        return Kept()
    if len(port) > len(str(_MAX_PORT)) or not 1 <= int(port) <= _MAX_PORT:
        raise ValueError(f"spec.gatewayPort: {port[:60]} is no port")
    target = spec.target_cluster_name
    return Gateway(name, ips, (int(port),), f"linkerd/{target}", target, local=False)


# --- Kuma ----------------------------------------------------------------------


class _ZoneLabels(msgspec.Struct, frozen=True, gc=False, rename={"origin": "kuma.io/origin"}):
    origin: str | None = None


class _ZoneMeta(msgspec.Struct, frozen=True, gc=False):
    name: str
    labels: _ZoneLabels | None = None


class _Networking(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    advertised_address: str | None = None
    advertised_port: _Port | None = None


class _ZoneSpec(msgspec.Struct, frozen=True, gc=False):
    zone: str | None = None
    networking: _Networking | None = None


class _ZoneIngress(msgspec.Struct, frozen=True, gc=False):
    metadata: _ZoneMeta
    spec: _ZoneSpec | None = None


_decode_zone = msgspec.json.Decoder(_ZoneIngress).decode


def read_zone_ingress(text: bytes) -> Kept:
    """Keep where a zone's ingress is reached; of one that is our own zone's, into our network."""
    found = _decode_zone(text)
    meta, spec = found.metadata, found.spec or _ZoneSpec()
    networking = spec.networking or _Networking()
    ips = addresses((networking.advertised_address or "",))
    if not ips or networking.advertised_port is None:
        return Kept()
    own = not spec.zone or (meta.labels is not None and meta.labels.origin == "zone")
    network, cluster = (None, None) if own else (f"kuma/{spec.zone}", spec.zone)
    return Gateway(meta.name, ips, (networking.advertised_port,), network, cluster, local=own)
