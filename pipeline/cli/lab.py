"""
The lab: a real Envoy mesh on this machine, to see crosspane work and things break.

Its code is a part of the tests, tests/lab/, and is loaded from there: from a
checkout, not from what is installed.

Before: common.py. After: docs/how-to/lab.md.
"""

import importlib
import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from pipeline import cli, pane
from pipeline.cli.common import DATA, Duration, echo_json, fail, format_option, screen
from pipeline.errors import UsageError

_MARK: Final = ".crosspane-lab"
_PACKAGE: Final = "crosspane_lab"
_ROUND_S: Final = 10.0
_SHARE: Final = 10


def _module(name: str) -> Any:
    """Give a module of the lab, by its name there."""
    folder = Path(cli.__file__).resolve().parents[2] / "tests" / "lab"
    if not (folder / "mesh.py").exists():
        fail(f"lab: {folder} is not there; the lab needs a checkout of crosspane", 1)
    if _PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(_PACKAGE, folder / "__init__.py")
        if spec is None or spec.loader is None:
            raise ImportError(folder)
        package = sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_PACKAGE}.{name}")


@contextmanager
def _errors_as_sentences() -> Iterator[None]:
    try:
        yield
    except _module("processes").LabError as error:
        fail(str(error), 1)


@click.group(
    epilog="""\b
Examples:
  crosspane lab up                            # some seconds; it stays up
  crosspane up --config crosspane-data/lab/als.toml --for 60s &
  crosspane lab traffic
  crosspane lab fault gateway_down            # then traffic again; --undo mends it
  crosspane lab down"""
)
def lab() -> None:
    """
    Run a real Envoy mesh in network namespaces; needs root and a checkout.

    Four clusters, of which two have the same pod addresses behind gateways and
    two share a flat network, a machine outside Kubernetes, and a node whose
    pods have no sidecars. See docs/how-to/lab.md.
    """


@lab.command(
    epilog="""\b
Examples:
  crosspane lab up
  crosspane lab up --directory /tmp/lab"""
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DATA / "lab",
    show_default=True,
    help="Where certificates, configurations and logs go; an earlier lab there is replaced.",
)
def up(directory: Path) -> None:
    """Bring the lab up and leave it running."""
    mesh, agents, telemetry = _module("mesh"), _module("agents"), _module("telemetry")
    topology = _module("places").LAB
    directory = directory.resolve()
    if directory.exists() and not (directory / _MARK).exists() and any(directory.iterdir()):
        raise UsageError(
            f"--directory {directory}: not empty, and no earlier lab; name another folder"
        )
    began = time.monotonic()
    with _errors_as_sentences():
        if mesh.running():
            raise mesh.LabError(f"the lab is up in {mesh.running()}; `crosspane lab down` ends it")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / _MARK).touch()
        sockets = agents.sockets(topology, directory)
        files = [agents.write(topology, directory, one, directory) for one in agents.CHANNELS]
        otlp = {agents.OTLP_PROXY: agents.otlp_socket(directory)}
        told = telemetry.Telemetry(text=True, als=sockets, otlp=otlp)
        running = mesh.leave_up(directory, told)
    screen.print(
        f"{len(running.proxies())} proxies in {len(topology.clusters)} clusters are up"
        f" after {time.monotonic() - began:.1f} s\n"
        f"they write to {directory / 'logs'}/CLUSTER/PROXY.access.jsonl, and in text to .log,\n"
        f"and stream to {directory}/*.sock, whether or not an agent listens there\n"
        "watch them by access log service, by files, or by both:",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for file in files:
        screen.print(
            f"  crosspane up --config {file}", highlight=False, markup=False, soft_wrap=True
        )
    screen.print("then `crosspane lab traffic`, and `crosspane lab down` at the end", markup=False)


@lab.command(
    epilog="""\b
Examples:
  crosspane lab down"""
)
def down() -> None:
    """Take the lab down, or what a killed one left behind; its files stay."""
    with _errors_as_sentences():
        found = _module("mesh").down()
    screen.print("the lab is down" if found else "no lab was up")


@lab.command(
    epilog="""\b
Examples:
  crosspane lab traffic                       # 244 requests in 10 s
  crosspane lab traffic --for 10m --format json"""
)
@click.option(
    "--for",
    "for_s",
    type=Duration(),
    default=f"{_ROUND_S:.0f}s",
    show_default=True,
    metavar="DURATION",
    help="The script takes 10 s at most, and is repeated as often as fits best.",
)
@format_option
def traffic(for_s: float, output: str) -> None:
    """Make the scripted calls, and tell what their clients saw; Ctrl-C ends it early."""
    module, topology = _module("traffic"), _module("places").LAB
    calls = module.scaled(module.LAB_SCRIPT, _SHARE)
    with _errors_as_sentences():
        _module("mesh").attach()
    seen: dict[Any, int] = {}
    try:
        for _ in range(max(1, round(for_s / _ROUND_S))):
            for row in module.as_json(module.run(topology, calls, min(_ROUND_S, for_s))):
                count = row.pop("count")
                row.pop("response_body_bytes")
                key = tuple(row.items())
                seen[key] = seen.get(key, 0) + count
    except KeyboardInterrupt:
        screen.print("ended early: the last round is not counted")
    rows = [{**dict(key), "count": count} for key, count in seen.items()]
    if output == "json":
        echo_json(rows)
        return
    table = Table("client", "service", "request", "status", "count")
    for row in rows:
        table.add_row(
            row["client"],
            row["direct"] or row["service"],
            f"{row['method']} {row['path']}",
            str(row["status"] or "no reply"),
            f"{row['count']:,}",
        )
    _show(table)


@lab.command(
    epilog="""\b
Examples:
  crosspane lab status
  crosspane lab status --format json"""
)
@format_option
def status(output: str) -> None:
    """Show each proxy, and whether it finds what it calls healthy; which faults are on."""
    admin, faults = _module("admin"), _module("faults")
    with _errors_as_sentences():
        mesh = _module("mesh").attach()
    rows = []
    for cluster, proxy in mesh.proxies().values():
        state = admin.state(mesh.admin(cluster, proxy))
        rows.append(
            {
                "cluster": cluster.name,
                "network": cluster.network.name,
                "proxy": proxy,
                "live": state.live,
                "endpoints": state.endpoints,
                "healthy_endpoints": state.healthy,
                "certificate_days": state.certificate_days,
            }
        )
    on = faults.active(mesh)
    if output == "json":
        echo_json({"directory": str(mesh.directory), "proxies": rows, "faults": on})
        return
    table = Table("cluster", "network", "proxy", "live", "calls healthy", "certificate")
    for row in rows:
        days = row["certificate_days"]
        table.add_row(
            str(row["cluster"]),
            str(row["network"]),
            str(row["proxy"]),
            "yes" if row["live"] else "[red]no[/red]",
            f"{row['healthy_endpoints']} of {row['endpoints']}" if row["endpoints"] else "",
            "" if days is None else f"{days} days",
        )
    _show(table)
    click.echo(f"faults on: {', '.join(on) or 'none'}; files in {mesh.directory}")


@lab.command(
    epilog="""\b
Examples:
  crosspane lab fault                         # what can be broken, and what it shows
  crosspane lab fault certificate_expired
  crosspane lab fault certificate_expired --undo
  crosspane lab fault --undo                  # all that is on"""
)
@click.argument("name", required=False)
@click.option("--undo", is_flag=True, help="Mend it, and wait until all is healthy again.")
def fault(name: str | None, undo: bool) -> None:
    """Break something in the running lab, or mend it; without a name, list what can be."""
    faults = _module("faults")
    if name is None and not undo:
        table = Table("fault", "met by calls", "what the proxies say")
        for key, one in faults.FAULTS.items():
            table.add_row(key, f"{one.client} → {one.service}", one.shows)
        _show(table)
        return
    if name is not None and name not in faults.FAULTS:
        raise UsageError(f"fault {name!r}: expected one of {', '.join(faults.FAULTS)}")
    with _errors_as_sentences():
        mesh = _module("mesh").attach()
        if not undo:
            faults.apply(mesh, name)
            click.echo(f"{name} is on: {faults.FAULTS[name].shows}")
            return
        for one in [name] if name else faults.active(mesh):
            faults.undo(mesh, one)
            click.echo(f"{one} is off")


def _show(table: Table) -> None:
    pane.screen().print(table)
