"""
Captures and logs to rows on standard output, without a log or a lake.

The same decoders as the job's, so what this prints is what the job would
store: rows on standard output, counters and rejects on standard error.

Before: common.py. After: decode/.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import click
import duckdb
import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from rich.progress import Progress

from collectors.envelope import GROUPS
from collectors.log import Place
from collectors.pcap import CaptureError, Payload, open_capture, sniff_kind
from pipeline import accounting, views
from pipeline.cli.common import fail, files_argument, screen
from pipeline.decode import Declared, Payloads, Source
from pipeline.decode.access_log.format_string import compile_format
from pipeline.normalize import NORMALIZERS
from pipeline.run import DECODERS

_AT_A_TIME: Final = 4_096


@click.command(
    epilog="""\b
Examples:
  crosspane decode router.pcap
  crosspane decode *.pcap --format jsonl | jq .src_ip
  crosspane decode access.jsonl --kind access_log --format parquet > requests.parquet
  crosspane decode access.log --log-format '[%START_TIME%] %REQ(:PATH)% %RESPONSE_CODE%'
  crosspane decode broken.dat --stats > /dev/null"""
)
@files_argument
@click.option(
    "--kind",
    type=click.Choice([*GROUPS]),
    help="What the files hold.  [default: by file name, and by the first lines]",
)
@click.option(
    "--format",
    "-f",
    "output",
    type=click.Choice(["table", "jsonl", "csv", "parquet"]),
    default="table",
    show_default=True,
    help="How rows are printed.",
)
@click.option(
    "--log-format",
    metavar="STRING",
    default="",
    help="How lines of access logs are written, as Envoy is told.  [default: as meshes do]",
)
@click.option("--stats", is_flag=True, help="Print the counters as JSON on standard error.")
def decode(
    files: tuple[Path, ...], kind: str | None, output: str, log_format: str, stats: bool
) -> None:
    """
    Decode captures (.pcap, .pcapng, .dat) or access logs (.jsonl, .log) to rows.

    Every datagram and line is accounted for: decoded, waiting for its
    template, or rejected with a reason. Damage is no error: the exit code is 0
    as long as the files could be opened.
    """
    if log_format:
        compile_format(log_format)
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    damaged: dict[str, str] = {}
    tables: dict[str, list[pl.DataFrame]] = {}
    shown: set[str] = set()
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        for path in progress.track(files, description="decoding"):
            parts = _decode(path, kind or sniff_kind(path), Declared(log_format), damaged)
            for name, frame, counts, rejects in parts:
                totals.update(counts)
                reasons.update(rejects)
                if frame.is_empty():
                    continue
                if output in ("table", "parquet"):
                    tables.setdefault(name, []).append(frame)
                else:
                    _write(frame, output, sys.stdout.buffer, header=name not in shown)
                    shown.add(name)
    for frame in _together(tables, one_file=output == "parquet"):
        _write(frame, output, sys.stdout.buffer, header=True)
    _report(totals, reasons, damaged, stats=stats)


def _together(tables: dict[str, list[pl.DataFrame]], *, one_file: bool) -> list[pl.DataFrame]:
    """Rows of each table; in one file, of all of them, with the name of each row's table."""
    whole = {name: pl.concat(parts) for name, parts in tables.items()}
    if not one_file or len(whole) < 2:  # noqa: PLR2004 one table is told by its columns
        return list(whole.values())
    named = [frame.with_columns(table=pl.lit(name)) for name, frame in whole.items()]
    return [pl.concat(named, how="diagonal_relaxed")]


def _decode(
    path: Path, kind: str, declared: Declared, damaged: dict[str, str]
) -> Iterator[tuple[str, pl.DataFrame, dict[str, int], dict[str, int]]]:
    """Table name, rows with text addresses, counters, and reasons of rejects, part by part."""
    decoder = DECODERS[kind]()
    payloads = _until_damaged(path, kind, damaged)
    place = Place(str(path), 0)
    while part := list(islice(payloads, _AT_A_TIME)):
        decoded = decoder.decode(_payloads(place, part, declared))
        counts = {name: int(decoded.counts[name].sum()) for name in accounting.COUNTERS}
        reasons = dict(decoded.rejects["reason"].value_counts().iter_rows())
        yield "", pl.DataFrame(), counts, reasons
        for name, frame in decoded.frames.items():
            vantages = pl.DataFrame(
                {
                    "vantage": np.arange(len(decoded.vantages), dtype=np.int32),
                    "exporter": [vantage.source.exporter for vantage in decoded.vantages],
                    "format": [vantage.format for vantage in decoded.vantages],
                    "observation_domain": [
                        vantage.observation_domain for vantage in decoded.vantages
                    ],
                },
                schema_overrides={
                    "exporter": pl.String,
                    "format": pl.String,
                    "observation_domain": pl.UInt32,
                },
            )
            named = NORMALIZERS[name](frame).join(
                vantages, on="vantage", how="left", maintain_order="left"
            )
            yield name, _text_addresses(named.drop("vantage")), {}, {}


def _until_damaged(path: Path, kind: str, damaged: dict[str, str]) -> Iterator[Payload]:
    try:
        yield from open_capture(path, kind=kind)
    except CaptureError as error:
        damaged[str(path)] = str(error)


def _payloads(place: Place, part: list[Payload], declared: Declared) -> Payloads:
    sources: dict[str, int] = {}
    source = [sources.setdefault(payload.exporter, len(sources)) for payload in part]
    return Payloads(
        sources=[Source(place, "decode", "", "", exporter, declared) for exporter in sources],
        source=np.array(source, np.int32),
        received_ns=np.array([payload.received_ns for payload in part], np.int64),
        payload=pa.array([payload.payload for payload in part], pa.binary()),
    )


def _text_addresses(frame: pl.DataFrame) -> pl.DataFrame:
    """``x_ip_hi`` and ``x_ip_lo`` to ``x_ip`` as text, in the place of the first."""
    names = []
    for name in frame.columns:
        if name.endswith("_ip_hi"):
            base = name.removesuffix("_hi")
            names.append(f"ip_text({base}_hi, {base}_lo) AS {base}")
        elif not name.endswith("_ip_lo"):
            names.append(f'"{name}"')
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for macro in views.MACROS:
            connection.execute(macro)
        connection.register("frame", frame.to_arrow())
        return connection.execute(f"SELECT {', '.join(names)} FROM frame").pl()  # noqa: S608 - names are ours


def _write(frame: pl.DataFrame, output: str, out: BinaryIO, *, header: bool) -> None:
    if output == "jsonl":
        frame.write_ndjson(out)
    elif output == "csv":
        lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
        frame.with_columns(pl.col(lists).list.join(",")).write_csv(out, include_header=header)
    elif output == "parquet":
        frame.write_parquet(out)
    else:
        filled = frame[[series.name for series in frame if series.null_count() < frame.height]]
        with pl.Config(
            tbl_rows=40, tbl_cols=-1, tbl_width_chars=200, tbl_hide_column_data_types=True
        ):
            out.write(f"{filled}\n".encode())
    out.flush()


def _report(
    totals: Counter[str], reasons: Counter[str], damaged: dict[str, str], *, stats: bool
) -> None:
    if stats:
        report = {
            "payloads": {
                name: totals[f"{name}_payloads"]
                for name in ("received", "decoded", "partial", "rejected")
            },
            "records": {
                "decoded": totals["decoded_records"],
                "options": totals["option_records"],
                "templates": totals["template_records"],
                "ignored": totals["ignored_records"],
            },
            "sets": {
                "waiting_for_template": totals["waiting_sets"],
                "rejected": totals["rejected_sets"],
            },
            "sequence": {
                name: totals[f"sequence_{name}"]
                for name in ("units_expected", "units_received", "resets")
            },
            "rejects": dict(sorted(reasons.items())),
            "damaged_files": damaged,
        }
        sys.stderr.write(msgspec.json.encode(report).decode() + "\n")
        return
    for path, damage in damaged.items():
        screen.print(f"[yellow]{path}[/yellow]: {damage}", highlight=False)
    waiting = (
        f", {totals['waiting_sets']} sets waiting for a template" if totals["waiting_sets"] else ""
    )
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    screen.print(
        f"{totals['received_payloads']} payloads, {totals['decoded_records']} rows{waiting}"
        + (f"; rejected: {rejected}" if rejected else ""),
        highlight=False,
    )
    if not totals["received_payloads"] and damaged:
        fail("no file could be read", 1)
