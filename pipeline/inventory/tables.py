"""
Files of the inventory, checked row by row, as frames with their keys as columns.

    inventory.toml, .yaml   [[networks]] [[clusters]] [[prefixes]] [[endpoints]] ...
    inventory/              a file a table: networks.parquet, prefixes.csv, ...
                            *.json: ranges as providers publish them

All are checked against the same structs (rows.py), and what is wrong is said in
the same words. Parquet is for millions of rows: of each column distinct values
are checked, the others row by row.

    CSV    a header of keys, in any order; an empty cell is none; times are ISO 8601
           with an offset; lists are separated by spaces or ";"
    YAML   a list of mappings a table; no anchors and aliases, no key twice

Before: rows.py. After: published.py, file.py.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, get_args

import msgspec
import polars as pl
import yaml  # type: ignore[import-untyped]
from msgspec import Meta

from collectors.config import ConfigError, decode_toml
from collectors.toml import checked
from pipeline import schema
from pipeline.errors import InventoryError
from pipeline.inventory import published
from pipeline.inventory.rows import (
    Cluster,
    Endpoint,
    Gateway,
    InventoryFile,
    Network,
    Peering,
    Prefix,
    RangeFile,
)

ROWS: Final[dict[str, type[msgspec.Struct]]] = {
    "networks": Network,
    "clusters": Cluster,
    "prefixes": Prefix,
    "endpoints": Endpoint,
    "gateways": Gateway,
    "peerings": Peering,
}
"""Table to what a row of it is."""
_RANGE_FILES: Final = "range_files"
_FILE_ROWS: Final[Mapping[str, type[msgspec.Struct]]] = {**ROWS, _RANGE_FILES: RangeFile}
"""And the one that names further files."""
_PUBLISHED: Final = ".json"
_LISTS: Final = ("zones", "members", "networks")
_DTYPES: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(_LISTS, pl.List(pl.String())),
    "valid_from": schema.TIME,
    "valid_to": schema.TIME,
    "port": pl.UInt16(),
}
_YAML: Final = (".yaml", ".yml")
_MAX_YAML_BYTES: Final = 1 << 24
_MAX_CSV_BYTES: Final = 1 << 28
_MAX_YAML_DEPTH: Final = 8


def raw_schema(name: str) -> pl.Schema:
    """Columns of a table as files have them."""
    keys = [field.name for field in msgspec.structs.fields(_FILE_ROWS[name])]
    return pl.Schema({key: _DTYPES.get(key, pl.String()) for key in keys})


class Read(NamedTuple):
    """
    What was read.

    Attributes
    ----------
    tables
        Name of each table to its rows, with keys of the file as columns.
    ranges
        Those of files that providers publish, see `published.SCHEMA`.
    files
        Every file it is from, those it names included.
    """

    tables: dict[str, pl.DataFrame]
    ranges: pl.DataFrame
    files: list[Path]


def read(path: Path) -> Read:
    """
    Read a file, or a folder's files, and the files of ranges that it names.

    Raises
    ------
    InventoryError
        Names the row and key, and what is allowed; of a folder also the file.
    """
    tables = _read_folder(path) if path.is_dir() else _read_file(path)
    named = _named(path, tables.pop(_RANGE_FILES, None))
    return Read(tables, published.read(named), _distinct(path, named))


def files(path: Path) -> list[Path]:
    """Every file that is to be read, be they right or wrong, there or not."""
    try:
        tables = _read_folder(path, _RANGE_FILES) if path.is_dir() else _read_file(path)
        return _distinct(path, _named(path, tables.get(_RANGE_FILES)))
    except (InventoryError, OSError):
        return _own(path)


def _distinct(path: Path, named: list[tuple[Path, RangeFile]]) -> list[Path]:
    return list(dict.fromkeys([*_own(path), *(file for file, _ in named)]))


def _own(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _named(path: Path, rows: pl.DataFrame | None) -> list[tuple[Path, RangeFile]]:
    """Files of ranges: those that rows name, then others of the folder."""
    folder = path if path.is_dir() else path.parent
    told = [] if rows is None else [RangeFile(**row) for row in rows.iter_rows(named=True)]
    named = {folder / one.path: one for one in told}
    if path.is_dir():
        for file in _own(path):
            if file.suffix == _PUBLISHED:
                named.setdefault(file, RangeFile(path=file.name))
    return list(named.items())


def _read_file(path: Path) -> dict[str, pl.DataFrame]:
    if path.suffix in _YAML:
        return _frames(_checked(_yaml(path)))
    try:
        return _frames(decode_toml(_bytes(path, None), InventoryFile))
    except ConfigError as error:
        raise InventoryError(str(error)) from error


def _read_folder(folder: Path, only: str | None = None) -> dict[str, pl.DataFrame]:
    files: dict[str, Path] = {}
    for path in (path for path in _own(folder) if path.suffix in _READERS):
        if path.stem not in _FILE_ROWS:
            raise InventoryError(
                f"{path.name}: no such table, allowed are {', '.join(sorted(_FILE_ROWS))}"
            )
        other = files.setdefault(path.stem, path)
        if other != path:
            raise InventoryError(f"{path.name}: {other.name} has this table already")
    if "networks" not in files:
        raise InventoryError(
            "networks.parquet: needed but missing, or networks.csv, or networks.yaml"
        )
    return {
        name: _READERS[path.suffix](name, path)
        for name, path in files.items()
        if only in {None, name}
    }


def _bytes(path: Path, most: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(-1 if most is None else most + 1)
    except OSError as error:
        raise InventoryError(str(error.strerror)) from error
    if most is not None and len(data) > most:
        raise InventoryError(f"more than {most} bytes: use Parquet for large tables")
    return data


def _checked(raw: object, *, strict: bool = True) -> InventoryFile:
    try:
        return checked(raw, InventoryFile, strict=strict)
    except ConfigError as error:
        raise InventoryError(str(error)) from error


def _frames(file: InventoryFile) -> dict[str, pl.DataFrame]:
    return {name: _frame(name, getattr(file, name)) for name in _FILE_ROWS}


def _frame(name: str, rows: tuple[msgspec.Struct, ...]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        key: [getattr(row, key) for row in rows] for key in raw_schema(name)
    }
    for key in {"valid_from", "valid_to"} & columns.keys():
        columns[key] = [
            time.astimezone(UTC) if isinstance(time, datetime) else None for time in columns[key]
        ]
    return pl.DataFrame(columns, schema=raw_schema(name))


# --- CSV and YAML ------------------------------------------------------------


def _csv_table(name: str, path: Path) -> pl.DataFrame:
    try:
        text = _bytes(path, _MAX_CSV_BYTES).decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(lines, [])
        _check_header(name, header)
        rows = [_csv_row(name, header, cells, at) for at, cells in enumerate(filter(None, lines))]
        return _frame(name, getattr(_checked({name: rows}, strict=False), name))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InventoryError(f"{path.name}: not CSV: {error}") from error
    except InventoryError as error:
        raise InventoryError(f"{path.name}: {error}") from error


def _check_header(name: str, header: list[str]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(_FILE_ROWS[name])}
    for key in header:
        if key not in fields:
            allowed = ", ".join(sorted(fields))
            raise InventoryError(f"{name}.{key}: no such column, allowed are {allowed}")
        if header.count(key) > 1:
            raise InventoryError(f"{name}.{key}: the header has it twice")
    for key, field in fields.items():
        if field.required and key not in header:
            raise InventoryError(f"{name}.{key}: needed but missing")


def _csv_row(name: str, header: list[str], cells: list[str], row: int) -> dict[str, object]:
    if len(cells) != len(header):
        raise InventoryError(f"{name}[{row}]: {len(cells)} cells, the header has {len(header)}")
    return {
        key: re.split(r"[\s;]+", cell.strip(" ;")) if key in _LISTS else cell
        for key, cell in zip(header, cells, strict=True)
        if cell
    }


def _yaml_table(name: str, path: Path) -> pl.DataFrame:
    try:
        rows = _yaml(path)
        return _frame(name, getattr(_checked({name: [] if rows is None else rows}), name))
    except InventoryError as error:
        raise InventoryError(f"{path.name}: {error}") from error


def _yaml(path: Path) -> Any:
    """What a YAML file holds; None if it is empty."""
    data = _bytes(path, _MAX_YAML_BYTES)
    try:
        _check_yaml(data)
        return yaml.load(data, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none
        raise InventoryError(f"not YAML: {' '.join(str(error).split())}") from error


def _check_yaml(data: bytes) -> None:
    """
    Refuse what the parser would take and a person not mean.

    Aliases, of which a few lines can stand for gigabytes; a key that is there
    twice, of which the parser takes the last; what is deeper than any table.
    """
    open_keys: list[set[str] | None] = []  # of each open collection; None: a list
    is_key: list[bool] = []  # whether the next node in it is a key
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise InventoryError(f"{where}: aliases are not allowed")
        if isinstance(event, yaml.CollectionEndEvent):
            open_keys.pop()
            is_key.pop()
        elif isinstance(event, yaml.NodeEvent):
            seen = open_keys[-1] if open_keys else None
            if seen is not None:
                if is_key[-1] and isinstance(event, yaml.ScalarEvent):
                    if event.value in seen:
                        raise InventoryError(f"{where}: {event.value!r} is there twice")
                    seen.add(event.value)
                is_key[-1] = not is_key[-1]
            if isinstance(event, yaml.CollectionStartEvent):
                mapping = isinstance(event, yaml.MappingStartEvent)
                open_keys.append(set() if mapping else None)
                is_key.append(mapping)
                if len(open_keys) > _MAX_YAML_DEPTH:
                    raise InventoryError(f"{where}: deeper than {_MAX_YAML_DEPTH}")


# --- Parquet -----------------------------------------------------------------


def _parquet_table(name: str, path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InventoryError(f"{path.name}: cannot be read: {error}") from error
    fields = {field.name: field for field in msgspec.structs.fields(_FILE_ROWS[name])}
    if unknown := [key for key in frame.columns if key not in fields]:
        raise InventoryError(
            f"{name}.{unknown[0]}: no such column, allowed are {', '.join(sorted(fields))}"
        )
    columns = []
    for key, field in fields.items():
        if key not in frame.columns:
            if field.required:
                raise InventoryError(f"{name}.{key}: needed but missing")
            frame = frame.with_columns(pl.lit(None).alias(key))
        columns.append(_parquet_column(name, frame[key], field))
    return pl.DataFrame(columns)


def _parquet_column(name: str, column: pl.Series, field: msgspec.structs.FieldInfo) -> pl.Series:
    """Check the distinct values of one column against the type of the struct's field; cast it."""
    key, dtype = column.name, raw_schema(name)[column.name]
    if key in _LISTS:
        if column.dtype not in {dtype, pl.Null()}:
            raise InventoryError(f"{name}.{key}: {column.dtype}, allowed is a list of texts")
        column = column.cast(dtype).fill_null([])
    if isinstance(dtype, pl.Datetime):
        has_zone = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None
        if not has_zone and column.dtype != pl.Null:
            raise InventoryError(
                f"{name}.{key}: {column.dtype} has no time zone, allowed is a timestamp in UTC"
            )
        return column.cast(dtype)
    values = column.unique(maintain_order=True) if dtype != pl.List else column
    try:
        msgspec.convert(values.to_list(), list[field.type])  # type: ignore[name-defined]
    except msgspec.ValidationError as error:
        match = re.match(r"(.*) - at `\$\[(\d+)\]", str(error), re.DOTALL)
        what, at = (match[1], int(match[2])) if match else (str(error), 0)
        row = column.index_of(values[at]) if dtype != pl.List else at
        refuse(name, key, row or 0, f"{what[:1].lower()}{what[1:]}{_about(field)}")
    return column.cast(dtype)


def _about(field: msgspec.structs.FieldInfo) -> str:
    meta = [note for note in getattr(field.type, "__metadata__", ()) if isinstance(note, Meta)]
    choices = [one for one in get_args(get_args(field.type)[0]) if isinstance(one, str)]
    allowed = f", allowed are {', '.join(map(repr, choices))}" if choices else ""
    return allowed + "".join(f" ({note.description})" for note in meta if note.description)


def refuse(table: str, key: str, row: int, what: str) -> NoReturn:
    """Say what is wrong with a key of a row."""
    raise InventoryError(f"{table}[{row}].{key}: {what}")


_READERS: Final[Mapping[str, Callable[[str, Path], pl.DataFrame]]] = {
    ".parquet": _parquet_table,
    ".csv": _csv_table,
    **dict.fromkeys(_YAML, _yaml_table),
}
"""Suffix of a file in a folder to what reads its table."""
