"""
The bundled recording, through the same path as anything live.

Captures are replayed into a local log, the job takes them into a lake, and the
single pane is printed. What was recorded, and how: pipeline/demo/README.md.

Before: live.py. After: pane.py.
"""

import shutil
import threading
from pathlib import Path
from typing import Final

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from collectors.config import LocalLog
from collectors.envelope import Header
from collectors.log.opening import open_log
from collectors.replay import replay
from pipeline import demo as recording
from pipeline import pane
from pipeline.cli.common import DATA, end_after, for_option, screen, stop_on_signals
from pipeline.cli.live import lake_and_known, open_reader, tell_connection
from pipeline.config import Config, LakeConfig
from pipeline.errors import UsageError
from pipeline.lake import connect
from pipeline.run import run

_MARK: Final = ".crosspane-demo"


@click.command(
    epilog="""\b
Examples:
  crosspane demo
  crosspane demo --serve                      # and look at it in a browser
  crosspane demo --directory /tmp/demo
  crosspane sql "FROM v_edges"                # afterwards"""
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DATA / "demo",
    show_default=True,
    help="Where log and lake go; an earlier demo there is replaced.",
)
@click.option(
    "--serve", "is_served", is_flag=True, help="Serve it afterwards: in a browser, and as SQL."
)
@for_option
def demo(directory: Path, is_served: bool, for_s: float | None) -> None:
    """
    Run the main job on a bundled recording and print the single pane.

    Four clusters in three clouds and a data centre: two have the same pod
    addresses behind gateways, two share a flat network. Takes some seconds.
    """
    if directory.exists() and not (directory / _MARK).exists() and any(directory.iterdir()):
        raise UsageError(
            f"--directory {directory}: not empty, and no earlier demo; name another folder"
        )
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / _MARK).touch()
    config = Config(
        inventory=str(recording.INVENTORY),
        log=LocalLog(directory=str(directory / "log"), fsync="never"),
        lake=LakeConfig(directory=str(directory / "lake")),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        clusters = progress.add_task("replaying captures", total=len(recording.NETWORKS))
        with open_log(config.log, "crosspane-demo") as log:
            for cluster, network in recording.NETWORKS.items():
                header = Header(agent="demo", cluster=cluster, network=network, kind="netflow")
                replay(recording.captures(cluster), header, log)
                progress.advance(clusters)
        progress.add_task("decoding, naming, writing", total=None)
        with lake_and_known(config) as (lake, known), open_reader(config) as reader:
            run(reader, lake, known, config, stop=threading.Event(), until_idle=True)
    with connect(Path(config.lake.directory)) as reader_connection:
        pane.show(reader_connection, pane.screen())
    tell_connection(Path(config.lake.directory))
    if is_served:
        from pipeline.cli.serve import serving  # noqa: PLC0415 - `crosspane[serve]`

        stop = stop_on_signals()
        end_after(stop, for_s)
        with serving(Path(config.lake.directory), config.serve, warm=True):
            stop.wait()
    else:
        screen.print("in a browser: `crosspane serve`", highlight=False)
