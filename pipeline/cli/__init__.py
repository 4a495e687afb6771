"""
The ``crosspane`` command.

    common    what commands share: configuration, output formats, exit codes
    agent     agent: what runs on nodes, and needs no Polars and no DuckDB
    live      up, job: what runs beside the lake
    children  what up starts: the process that receives, and that which serves
    replay    captures into the log
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
    "demo": ("demo", "Run the main job on a bundled recording and print the single pane."),
    "up": (
        "live",
        "Run everything on this machine: agents, log, stream job, lake, and what serves readers.",
    ),
    "agent": ("agent", "Run the node agents of a configuration: receive, batch, ship to the log."),
    "job": ("live", "Run the stream job: from the log to the lake, exactly once."),
    "decode": (
        "decode",
        "Decode captures (.pcap, .pcapng, .dat) or access logs (.jsonl, .log) to rows.",
    ),
    "replay": ("replay", "Put captures into the log, as if an agent had just received them."),
    "serve": ("serve", "Let people and programs ask the lake: in SQL, and in a browser."),
    "sql": ("look", "Ask the lake in SQL (DuckDB), while the job writes to it."),
    "topology": ("topology", "Show who talks to whom, across clusters and clouds."),
    "health": ("look", "Show what is not well, and why."),
    "findings": ("findings", "Show what a person should look at, and what to do about it."),
    "ipspace": (
        "ipspace",
        "Audit the address space: overlaps, conflicts, what is full, what nobody owns.",
    ),
    "dashboards": ("dashboards", "Bring dashboards and alert rules into Grafana."),
    "lab": ("lab", "Run a real Envoy mesh in network namespaces; needs root and a checkout."),
    "check": (
        "settings",
        "Check a configuration and its inventory; exit code 2 says what is wrong.",
    ),
    "config": (
        "settings",
        "Print the effective configuration as TOML; each key is in docs/reference/config.md.",
    ),
    "completion": (
        "settings",
        "Print the script that completes crosspane's commands and options with TAB.",
    ),
}
"""
Command to its module and what it does, in the order a newcomer needs them. One line here adds one.

What it does is the first line of its `--help`, said here so that a list of commands, and TAB,
import none of them.
"""

main = Commands(
    "crosspane",
    listed=COMMANDS,
    help="Who talks to whom across clouds, clusters and meshes.\n\n"
    "Flow records and proxy logs in; one lake of named edges out. Start with `crosspane demo`.",
)
