"""
Settings: check them, print them, and complete commands in the shell.

Before: common.py. After: the terminal.
"""

from pathlib import Path
from typing import Any

import click
import msgspec
import tomli_w
from click.shell_completion import get_completion_class

from pipeline.cli.common import config_option, fail
from pipeline.config import Config
from pipeline.decode.access_log.format_string import check_formats
from pipeline.inventory import file as inventory


@click.command(
    epilog="""\b
Examples:
  crosspane check --config crosspane.toml"""
)
@config_option
def check(config: Config) -> None:
    """
    Check a configuration and its inventory; exit code 2 says what is wrong.

    Nothing is started and nothing is written.
    """
    check_formats(config.agents)
    click.echo(
        f"configuration: {len(config.agents)} agents, log {config.log.__struct_config__.tag},"
        f" lake {config.lake.directory}"
    )
    if not config.inventory:
        click.echo("inventory: none; every address will be unknown")
        return
    loaded = inventory.load(Path(config.inventory))
    click.echo(
        f"inventory: {loaded.networks.height} networks, {loaded.clusters.height} clusters,"
        f" {loaded.endpoints.height} endpoints, {loaded.prefixes.height} prefixes,"
        f" {loaded.gateways.height} gateways"
    )
    observed = {agent.network for agent in config.agents}
    for network in sorted(observed - set(loaded.networks["network"])):
        click.echo(f"warning: agents see network {network!r}, which the inventory does not declare")


@click.command(
    epilog="""\b
Examples:
  crosspane config > crosspane.toml           # the defaults, to start from
  crosspane config --config crosspane.toml    # what a file comes to, defaults filled in"""
)
@config_option
def config(config: Config) -> None:
    """Print the effective configuration as TOML; each key is in docs/reference/config.md."""
    click.echo(tomli_w.dumps(_without_nulls(msgspec.to_builtins(config))), nl=False)


def _without_nulls(value: Any) -> Any:
    """TOML has no null: a key that is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_nulls(item) for item in value]
    return value


@click.command(
    epilog="""\b
Examples:
  eval "$(crosspane completion bash)"
  crosspane completion zsh > ~/.zfunc/_crosspane"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes crosspane's commands and options with TAB."""
    kind = get_completion_class(shell)
    if kind is None:
        fail(f"no completion for {shell}", 2)
        return
    click.echo(kind(ctx.find_root().command, {}, "crosspane", "_CROSSPANE_COMPLETE").source())
