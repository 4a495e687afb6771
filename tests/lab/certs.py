"""
Certificates as Istio would issue them, made by the openssl command line.

    root -> intermediate CA per cluster -> leaf with one SPIFFE URI

A leaf's file holds its chain up to the intermediate, and every proxy trusts
the root alone. SPIFFE IDs carry no cluster; the issuer's name does.

Before: places.py. After: upstreams.py and envoy.py name the files; faults.py
issues some leaves anew.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .topology import Cluster, Pod, Topology

_DAYS = 3650
_CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"


@dataclass(frozen=True)
class Leaf:
    """The files of one workload: its chain, its key and the root it trusts."""

    chain: Path
    key: Path
    root: Path


def issue_all(directory: Path, topology: Topology) -> dict[str, Leaf]:
    """Make every CA and certificate below `directory`; leaves by workload."""
    directory.mkdir(parents=True, exist_ok=True)
    root = directory / "root"
    _request(root, "/O=crosspane lab/CN=root")
    _sign(root, None, _CA, _DAYS)
    leaves: dict[str, Leaf] = {}
    for cluster in topology.clusters:
        issuer = directory / cluster.name
        _request(issuer, f"/O=crosspane lab/CN={cluster.name} intermediate")
        _sign(issuer, root, _CA, _DAYS)
        for pod in cluster.pods:
            if pod.proxy != "none":
                leaves[pod.workload] = issue(directory, cluster, pod)
    return leaves


def issue(
    directory: Path, cluster: Cluster, pod: Pod, days: int = _DAYS, identity: str = ""
) -> Leaf:
    """
    Make the certificate of a workload, or make it anew.

    Parameters
    ----------
    days
        How long it is valid; -1 expired a day ago.
    identity
        The SPIFFE ID in it, if not the workload's own.
    """
    issuer = directory / cluster.name
    stem = directory / f"{cluster.short}-{pod.workload}"
    _request(stem, "/O=crosspane lab")
    extensions = (
        "basicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
        f"subjectAltName=critical,URI:{identity or pod.identity}\n"
    )
    _sign(stem, issuer, extensions, days)
    chain = stem.with_suffix(".chain")
    chain.write_text(stem.with_suffix(".crt").read_text() + issuer.with_suffix(".crt").read_text())
    return Leaf(chain, stem.with_suffix(".key"), directory / "root.crt")


def _request(stem: Path, subject: str) -> None:
    _openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", subject, "-keyout", f"{stem}.key", "-out", f"{stem}.csr"),
    )


def _sign(stem: Path, issuer: Path | None, extensions: str, days: int) -> None:
    """Sign the request of `stem`; by itself where there is no issuer."""
    stem.with_suffix(".ext").write_text(extensions)
    signer = (
        ("-signkey", f"{stem}.key")
        if issuer is None
        else ("-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", "-CAcreateserial")
    )
    _openssl(
        *("x509", "-req", "-in", f"{stem}.csr", "-days", str(days), "-sha256", *signer),
        *("-extfile", f"{stem}.ext", "-out", f"{stem}.crt"),
    )


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
