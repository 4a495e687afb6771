"""
The resources that are watched.

What only names an owner is asked for without spec and status in the first
place (``PartialObjectMetadata``).

Before: mesh.py. After: change.py, and pipeline/inventory/sources/kubernetes.
"""

from typing import Final, NamedTuple

from collectors.kubernetes import core, mesh


class Resource(NamedTuple):
    """
    One resource of an API server.

    Attributes
    ----------
    group, versions, plural
        Where it is; group "" is the core. Of versions the first that is there counts.
    trim
        What is kept of an object.
    metadata_only
        Whether the server is asked for metadata alone.
    namespace, only_name
        Where the one object is that is looked at, and its name; empty: all.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    trim: type[core.Object | core.Owned]
    metadata_only: bool = False
    namespace: str = ""
    only_name: str = ""

    @property
    def is_built_in(self) -> bool:
        """Whether every API server has it; the others come with a CRD."""
        return self.group in {"", "apps", "batch", "discovery.k8s.io"}

    def path(self, version: str) -> str:
        """
        Path of the collection.

        >>> RESOURCES["jobs"].path("v1")
        '/apis/batch/v1/jobs'
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}/{version}{inside}/{self.plural}"


_ISTIO: Final = ("networking.istio.io", ("v1", "v1beta1"))

RESOURCES: Final[dict[str, Resource]] = {
    "namespaces": Resource("", ("v1",), "namespaces", core.Object),
    "nodes": Resource("", ("v1",), "nodes", core.Node),
    "pods": Resource("", ("v1",), "pods", core.Pod),
    "services": Resource("", ("v1",), "services", core.Service),
    "serviceaccounts": Resource("", ("v1",), "serviceaccounts", core.Owned, metadata_only=True),
    "endpointslices": Resource("discovery.k8s.io", ("v1",), "endpointslices", core.EndpointSlice),
    "replicasets": Resource("apps", ("v1",), "replicasets", core.Owned, metadata_only=True),
    "jobs": Resource("batch", ("v1",), "jobs", core.Owned, metadata_only=True),
    "configmaps": Resource(
        "", ("v1",), "configmaps", mesh.ConfigMap, namespace="istio-system", only_name="istio"
    ),
    "workloadentries": Resource(*_ISTIO, "workloadentries", mesh.WorkloadEntry),
    "workloadgroups": Resource(*_ISTIO, "workloadgroups", mesh.WorkloadGroup),
    "serviceentries": Resource(*_ISTIO, "serviceentries", mesh.ServiceEntry),
    "gateways.networking.istio.io": Resource(*_ISTIO, "gateways", mesh.IstioGateway),
    "gateways.gateway.networking.k8s.io": Resource(
        "gateway.networking.k8s.io", ("v1", "v1beta1"), "gateways", mesh.Gateway
    ),
    "serviceimports": Resource(
        "multicluster.x-k8s.io", ("v1beta1", "v1alpha1"), "serviceimports", mesh.ServiceImport
    ),
    "ciliumnodes": Resource("cilium.io", ("v2",), "ciliumnodes", mesh.CiliumNode),
    "links": Resource(
        "multicluster.linkerd.io", ("v1alpha3", "v1alpha2", "v1alpha1"), "links", mesh.Link
    ),
    "zoneingresses": Resource("kuma.io", ("v1alpha1",), "zoneingresses", mesh.ZoneIngress),
}
"""Name of a resource in changes to what it is. One line here watches one more."""
