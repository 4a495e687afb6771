"""
The ``crosspane`` command.

    common    what commands share: configuration, output formats, exit codes
    agent     agent: what runs on nodes, and needs no Polars and no DuckDB
    live      up, job, replay: what runs beside the lake
    demo      the bundled recording, through the same path
    serve     the lake for PostgreSQL clients, and the pane in a browser
    decode    captures and logs to rows on standard output
    look      sql, health: what people ask
    dashboards  dashboards: Grafana's, as files or over its API
    topology  who talks to whom, at any level and time, and what changed
    findings  findings: what a person should look at
    ipspace   ipspace: what is wrong with the address space, and what would mend it
    lab       a real mesh to watch, from a checkout
    settings  check, config, completion

Exit codes: 0 done; 1 it could not be done; 2 asked wrongly (a usage,
configuration or inventory error, which names the key and what is allowed).

Before: everything. After: the terminal.
"""

from typing import Final

from pipeline.cli.common import Commands

__all__ = ["main"]

COMMANDS: Final = {
    "demo": "demo",
    "up": "live",
    "agent": "agent",
    "job": "live",
    "decode": "decode",
    "replay": "live",
    "serve": "serve",
    "sql": "look",
    "topology": "topology",
    "health": "look",
    "findings": "findings",
    "ipspace": "ipspace",
    "dashboards": "dashboards",
    "lab": "lab",
    "check": "settings",
    "config": "settings",
    "completion": "settings",
}
"""Command to its module, in the order a newcomer needs them. One line here adds one."""

main = Commands(
    "crosspane",
    modules=COMMANDS,
    help="Who talks to whom across clouds, clusters and meshes.\n\n"
    "Flow records and proxy logs in; one lake of named edges out. Start with `crosspane demo`.",
)
