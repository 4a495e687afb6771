"""
Ranges that providers publish, taken as they are: who an outside address belongs to.

    AWS     ip-ranges.json       ipv6_prefixes; a range is listed under AMAZON and its services
    Google  cloud.json           prefixes with scope: what customers' machines have
            goog.json            prefixes without: all that is Google's
    Azure   ServiceTags_*.json   values; a range is listed under AzureCloud, its region, services
    others  a list of ranges     address/length a line; from # on a line is a comment

The content tells which it is. Each range becomes one row of network internet,
kind external, under the most specific of its names: one that covers all of a
provider goes last, one with a region before one without, then one with fewer
ranges. Of two files that name a range, the one that is named first is heard,
if it names more than the provider.

Sources: docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html;
support.google.com/a/answer/10026322;
learn.microsoft.com/azure/virtual-network/service-tags-overview.
Before: tables.py. After: file.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import polars as pl
from msgspec import Meta

from pipeline.errors import InventoryError
from pipeline.inventory import numbers
from pipeline.inventory.numbers import NoRangeError
from pipeline.inventory.rows import RangeFile, Text

_MAX_BYTES: Final = 1 << 26
_EXPECTED: Final = (
    "expected what AWS (ip-ranges.json), Google (cloud.json, goog.json) or Azure"
    " (ServiceTags_*.json) publish, or a list of ranges, one a line"
)
_KEY: Final = ["prefix_ip_hi", "prefix_ip_lo", "prefix_length"]
_TOLD: Final = {"name": pl.String(), "provider": pl.String(), "region": pl.String()}
SCHEMA: Final = pl.Schema(
    {
        **dict(zip(_KEY, (pl.UInt64(), pl.UInt64(), pl.UInt8()), strict=True)),
        **_TOLD,
        "is_whole": pl.Boolean(),  # the name stands for all of the provider
    }
)
_LISTED: Final = pl.Schema({"cidr": pl.String(), **_TOLD, "is_whole": pl.Boolean()})

_Maybe = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""As `Text`, or empty."""


class _AwsRange(msgspec.Struct):
    ip_prefix: str
    region: Text
    service: Text


class _AwsRange6(msgspec.Struct):
    ipv6_prefix: str
    region: Text
    service: Text


class _Aws(msgspec.Struct):
    prefixes: list[_AwsRange]
    ipv6_prefixes: list[_AwsRange6]


class _GoogleRange(msgspec.Struct, rename="camel"):
    ipv4_prefix: str | None = None
    ipv6_prefix: str | None = None
    service: Text | None = None
    scope: Text | None = None


class _Google(msgspec.Struct):
    prefixes: list[_GoogleRange]


class _AzureProperties(msgspec.Struct, rename="camel"):
    address_prefixes: list[str]
    region: _Maybe | None = None


class _AzureTag(msgspec.Struct):
    name: Text
    properties: _AzureProperties


class _Azure(msgspec.Struct):
    values: list[_AzureTag]


def read(files: Sequence[tuple[Path, RangeFile]]) -> pl.DataFrame:
    """
    Ranges of all files, each once; columns of `SCHEMA`.

    Raises
    ------
    InventoryError
        Names the file, and what is expected.
    """
    frames = [pl.DataFrame(schema=SCHEMA)]
    for path, told in files:
        try:
            frames.append(_read(path, told))
        except InventoryError as error:
            raise InventoryError(f"{told.path}: {error}") from error
    everything = pl.concat(frames).sort("is_whole", maintain_order=True)
    return everything.unique(_KEY, keep="first", maintain_order=True)


def _read(path: Path, told: RangeFile) -> pl.DataFrame:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InventoryError(str(error.strerror)) from error
    if len(data) > _MAX_BYTES:
        raise InventoryError(f"more than {_MAX_BYTES} bytes")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        listed = _json(data, told) if data.lstrip()[:1] in {b"{", b"["} else _lines(data, told)
        return _specific(listed)
    except NoRangeError as error:
        raise InventoryError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InventoryError(f"{error}; {_EXPECTED}") from error


def _json(data: bytes, told: RangeFile) -> pl.DataFrame:
    keys = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).keys()
    if "ipv6_prefixes" in keys:
        return _aws(msgspec.json.decode(data, type=_Aws), told)
    if "values" in keys:
        return _azure(msgspec.json.decode(data, type=_Azure), told)
    if "prefixes" in keys:
        return _google(msgspec.json.decode(data, type=_Google), told)
    raise InventoryError(f"keys are {', '.join(sorted(keys)[:10]) or 'none'}; {_EXPECTED}")


def _aws(file: _Aws, told: RangeFile) -> pl.DataFrame:
    v4 = [(one.ip_prefix, one.service, one.region) for one in file.prefixes]
    v6 = [(one.ipv6_prefix, one.service, one.region) for one in file.ipv6_prefixes]
    keys = ["cidr", "service", "region"]
    listed = pl.DataFrame(v4 + v6, schema=dict.fromkeys(keys, pl.String), orient="row")
    region = pl.col("region").replace("GLOBAL", None)
    return listed.select(
        "cidr",
        name=_joined(pl.lit(told.name or "aws"), pl.col("service"), region),
        provider=pl.lit(told.provider or "aws"),
        region=region,
        is_whole=pl.col("service") == "AMAZON",
    )


def _google(file: _Google, told: RangeFile) -> pl.DataFrame:
    rows = []
    for row, one in enumerate(file.prefixes):
        cidr = one.ipv4_prefix or one.ipv6_prefix
        if cidr is None:
            raise InventoryError(f"prefixes[{row}]: expected ipv4Prefix or ipv6Prefix")
        rows.append((cidr, one.service, one.scope))
    keys = ["cidr", "service", "scope"]
    listed = pl.DataFrame(rows, schema=dict.fromkeys(keys, pl.String), orient="row")
    is_whole = pl.col("service").is_null() & pl.col("scope").is_null()
    provider = pl.when(is_whole).then(pl.lit("google")).otherwise(pl.lit("gcp"))
    region = pl.col("scope").replace("global", None)
    return listed.select(
        "cidr",
        name=_joined(
            provider if told.name is None else pl.lit(told.name),
            pl.col("service").replace("Google Cloud", None),
            region,
        ),
        provider=provider if told.provider is None else pl.lit(told.provider),
        region=region,
        is_whole=is_whole,
    )


def _azure(file: _Azure, told: RangeFile) -> pl.DataFrame:
    listed = pl.DataFrame(
        {
            "cidr": [tag.properties.address_prefixes for tag in file.values],
            "tag": [tag.name for tag in file.values],
            "region": [tag.properties.region or None for tag in file.values],
        },
        schema={"cidr": pl.List(pl.String), "tag": pl.String, "region": pl.String},
    )
    return (
        listed.filter(pl.col("cidr").list.len() > 0)
        .explode("cidr")
        .select(
            "cidr",
            name=_joined(pl.lit(told.name or "azure"), pl.col("tag")),
            provider=pl.lit(told.provider or "azure"),
            region=pl.col("region"),
            is_whole=pl.col("tag").str.contains(r"^AzureCloud(\.|$)"),
        )
    )


def _lines(data: bytes, told: RangeFile) -> pl.DataFrame:
    lines = (line.partition("#")[0].strip() for line in data.decode().splitlines())
    listed = pl.DataFrame({"cidr": [line for line in lines if line]}, schema={"cidr": pl.String})
    return listed.select(
        "cidr",
        name=pl.lit(told.name or Path(told.path).stem),
        provider=pl.lit(told.provider, pl.String),
        region=pl.lit(None, pl.String),
        is_whole=pl.lit(value=False),
    )


def _joined(*parts: pl.Expr) -> pl.Expr:
    return pl.concat_str(parts, separator=" ", ignore_nulls=True)


def _specific(listed: pl.DataFrame) -> pl.DataFrame:
    """Each range of one file once, and the region if any of its names tells one."""
    listed = listed.select(_LISTED.names())
    found = numbers.ranges(listed["cidr"].to_list())
    return (
        listed.with_columns(
            pl.Series("prefix_ip_hi", found.high),
            pl.Series("prefix_ip_lo", found.low),
            pl.Series("prefix_length", found.length),
        )
        .with_columns(listings=pl.len().over("name"))
        .sort("is_whole", pl.col("region").is_null(), "listings", "name")
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("name", "provider").first(),
            pl.col("region").drop_nulls().first(),
            pl.col("is_whole").first(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )
