"""Ranges as providers publish them: one name for each, the rest refused by file, and looked up."""

import json
import logging
import os
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.__main__ import main
from pipeline.enrich import Identities, enrich_verdicts
from pipeline.errors import InventoryError
from pipeline.inventory import file as inventory
from pipeline.inventory import published
from pipeline.inventory.file import Inventory
from pipeline.inventory.rows import RangeFile
from pipeline.known import Known


def aws(key: str, cidr: str, region: str, service: str) -> dict[str, str]:
    told = {"region": region, "service": service, "network_border_group": region}
    return {key: cidr, **told}


AWS = {
    "syncToken": "1790000000",
    "createDate": "2026-09-21-14-13-20",
    "prefixes": [
        aws("ip_prefix", "192.0.2.0/24", "eu-west-1", "AMAZON"),
        aws("ip_prefix", "192.0.2.128/25", "eu-west-1", "AMAZON"),
        aws("ip_prefix", "198.51.100.0/25", "GLOBAL", "AMAZON"),
        aws("ip_prefix", "198.51.100.0/25", "GLOBAL", "CLOUDFRONT"),
        aws("ip_prefix", "192.0.2.128/25", "eu-west-1", "EC2"),
        aws("ip_prefix", "192.0.2.64/26", "eu-west-1", "EC2"),
        aws("ip_prefix", "192.0.2.64/26", "eu-west-1", "ROUTE53_HEALTHCHECKS"),
    ],
    "ipv6_prefixes": [
        aws("ipv6_prefix", "2001:db8:a::/48", "us-east-1", "AMAZON"),
        aws("ipv6_prefix", "2001:db8:a::/48", "us-east-1", "S3"),
    ],
}
CLOUD = {
    "syncToken": "1790000000000",
    "creationTime": "2026-09-21T07:13:20.0",
    "prefixes": [
        {"ipv4Prefix": "203.0.113.0/26", "service": "Google Cloud", "scope": "us-east1"},
        {"ipv6Prefix": "2001:db8:b::/48", "service": "Google Cloud", "scope": "global"},
    ],
}
GOOG = {
    "syncToken": "1790000000000",
    "creationTime": "2026-09-21T07:13:20.0",
    "prefixes": [{"ipv4Prefix": "203.0.113.0/24"}, {"ipv4Prefix": "203.0.113.0/26"}],
}


def tag(name: str, region: str, service: str, *ranges: str) -> dict[str, object]:
    told = {"changeNumber": 1, "region": region, "regionId": 1, "platform": "Azure"}
    told |= {"systemService": service, "addressPrefixes": list(ranges), "networkFeatures": ["NSG"]}
    return {"name": name, "id": name, "properties": told}


AZURE = {
    "changeNumber": 300,
    "cloud": "Public",
    "values": [
        tag("AzureCloud", "", "", "198.51.100.128/25", "198.51.100.128/28", "2001:db8:c::/48"),
        tag("AzureCloud.westeurope", "westeurope", "", "198.51.100.128/25", "198.51.100.128/28"),
        tag("Storage", "", "AzureStorage", "198.51.100.128/28", "2001:db8:c::/48"),
        tag("Storage.WestEurope", "westeurope", "AzureStorage", "198.51.100.128/28"),
        tag("Nothing", "", "AzureNothing"),
    ],
}
LINES = "# the CDN\n192.0.2.0/26\n\n  2001:DB8:D::/48  # v6\r\n"


def write(folder: Path, **files: object) -> Path:
    """Files by stem; an inventory that names all of them, in that order."""
    named = []
    for stem, content in files.items():
        path = folder / f"{stem}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        named.append(f'[[range_files]]\npath = "{path.name}"\n')
    known = folder / "inventory.toml"
    known.write_text('[[networks]]\nname = "net-a"\nmodel = "flat"\n' + "".join(named))
    return known


HALVES = ("hi", "lo")


def ranges(known: Inventory) -> list[tuple[object, ...]]:
    """Each range as text of its numbers, with what is told of it."""
    rows = known.prefixes.select(
        pl.format(
            "{}:{}/{}",
            *(
                pl.col(f"prefix_ip_{half}").map_elements("{:x}".format, pl.String)
                for half in HALVES
            ),
            pl.col("prefix_length"),
        ),
        *("name", "provider", "region"),
    )
    assert known.prefixes.select("network", "kind", "source").unique().rows() == [
        ("internet", "external", "file")
    ]
    return sorted(rows.rows())


def test_aws_ranges_go_by_their_service(tmp_path: Path):
    """AMAZON is the name of what has no other; of two services the one with fewer ranges."""
    assert ranges(inventory.load(write(tmp_path, ip_ranges=AWS))) == [
        ("0:ffffc0000200/120", "aws AMAZON eu-west-1", "aws", "eu-west-1"),
        ("0:ffffc0000240/122", "aws ROUTE53_HEALTHCHECKS eu-west-1", "aws", "eu-west-1"),
        ("0:ffffc0000280/121", "aws EC2 eu-west-1", "aws", "eu-west-1"),
        ("0:ffffc6336400/121", "aws CLOUDFRONT", "aws", None),
        ("20010db8000a0000:0/48", "aws S3 us-east-1", "aws", "us-east-1"),
    ]


def test_google_tells_customers_ranges_from_its_own(tmp_path: Path):
    """A range of both files is the cloud's, whichever is named first."""
    told = [
        ("0:ffffcb007100/120", "google", "google", None),
        ("0:ffffcb007100/122", "gcp us-east1", "gcp", "us-east1"),
        ("20010db8000b0000:0/48", "gcp", "gcp", None),
    ]
    assert ranges(inventory.load(write(tmp_path, cloud=CLOUD, goog=GOOG))) == told
    assert ranges(inventory.load(write(tmp_path, goog=GOOG, cloud=CLOUD))) == told


def test_azure_ranges_go_by_their_service_and_region(tmp_path: Path):
    """AzureCloud names what no service does; a regional tag goes before the service's own."""
    assert ranges(inventory.load(write(tmp_path, ServiceTags=AZURE))) == [
        ("0:ffffc6336480/121", "azure AzureCloud.westeurope", "azure", "westeurope"),
        ("0:ffffc6336480/124", "azure Storage.WestEurope", "azure", "westeurope"),
        ("20010db8000c0000:0/48", "azure Storage", "azure", None),
    ]


def test_a_list_of_ranges_goes_by_its_file_or_a_name(tmp_path: Path):
    """What is told beside the path replaces what the format says."""
    (tmp_path / "cdn.txt").write_text(LINES)
    (tmp_path / "cloud.json").write_text(json.dumps(CLOUD))
    known = tmp_path / "inventory.toml"
    known.write_text(
        '[[range_files]]\npath = "cdn.txt"\n'
        '[[range_files]]\npath = "cloud.json"\nname = "partner"\nprovider = "acme"\n'
    )
    assert ranges(inventory.load(known)) == [
        ("0:ffffc0000200/122", "cdn", None, None),
        ("0:ffffcb007100/122", "partner us-east1", "acme", "us-east1"),
        ("20010db8000b0000:0/48", "partner", "acme", None),
        ("20010db8000d0000:0/48", "cdn", None, None),
    ]


def test_what_people_say_of_a_range_goes_first(tmp_path: Path):
    """A row of the inventory before any file, an earlier file before a later one."""
    known = write(tmp_path, ours="192.0.2.64/26\n198.51.100.0/25\n", ip_ranges=AWS)
    row = '[[prefixes]]\nnetwork = "internet"\ncidr = "192.0.2.64/26"\nkind = "external"\n'
    known.write_text(known.read_text() + row + 'name = "the bank"\n')
    found = {text: name for text, name, _, _ in ranges(inventory.load(known))}
    assert found["0:ffffc0000240/122"] == "the bank"
    assert found["0:ffffc6336400/121"] == "ours"
    assert found["0:ffffc0000200/120"] == "aws AMAZON eu-west-1"


def test_bits_beyond_a_published_length_are_of_no_meaning(tmp_path: Path):
    """Nobody can mend a provider's file; AWS' own example has 198.51.100.2/24."""
    known = inventory.load(write(tmp_path, a="198.51.100.2/24\n2001:db8::1/32\n::1/0\n"))
    assert [text for text, *_ in ranges(known)] == [
        "0:0/0",
        "0:ffffc6336400/120",
        "20010db800000000:0/32",
    ]


def test_a_folder_takes_the_files_in_it(tmp_path: Path):
    """Each *.json once, and what the table range_files names beside them."""
    (tmp_path / "networks.csv").write_text("name,model\nnet-a,flat\n")
    (tmp_path / "goog.json").write_text(json.dumps(GOOG))
    (tmp_path / "cloud.json").write_text(json.dumps(CLOUD))
    (tmp_path / "cdn.txt").write_text(LINES)
    (tmp_path / "range_files.csv").write_text("path,name\ncdn.txt,the CDN\ncloud.json,cloud\n")
    known = inventory.load(tmp_path)
    assert sorted(known.prefixes["name"]) == [
        *("cloud", "cloud us-east1", "google", "the CDN", "the CDN")
    ]
    assert sorted(one.name for one in known.files) == [
        *("cdn.txt", "cloud.json", "goog.json", "networks.csv", "range_files.csv")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("10.0.0.0/8\n10.0.0/8\n", "a.json: '10.0.0/8' is no range, expected address/length"),
        ("10.0.0.0\n", "a.json: '10.0.0.0' is no range, expected address/length"),
        ("10.0.0.0/33\n", "a.json: '10.0.0.0/33' is no range"),
        ("fe80::/129\n", "a.json: 'fe80::/129' is no range"),
        ("10.0.0.0/+8\n", "a.json: '10.0.0.0/+8' is no range"),
        ("10/8\n", "a.json: '10/8' is no range"),
        ("<html>\n", "a.json: '<html>' is no range"),
        ("{}", "a.json: keys are none; expected what AWS (ip-ranges.json), Google (cloud.json"),
        ('{"result": {}, "ok": 1}', "a.json: keys are ok, result; expected what AWS"),
        ("[]", "a.json: Expected `object`, got `array`; expected what AWS"),
        ('{"prefixes": [', "a.json: Input data was truncated; expected what AWS"),
        ('{"prefixes": [{"service": "x"}]}', "a.json: prefixes[0]: expected ipv4Prefix or ipv6"),
        (
            '{"prefixes": [{"ip_prefix": "10.0.0.0/8"}], "ipv6_prefixes": []}',
            "a.json: Object missing required field `region` - at `$.prefixes[0]`; expected",
        ),
        (
            '{"values": [{"name": "a\\u0000b", "properties": {"addressPrefixes": []}}]}',
            "a.json: Expected `str` matching regex",
        ),
        ('{"prefixes": ' + "[" * 100_000, "a.json: maximum recursion depth exceeded"),
    ],
)
def test_what_is_no_such_file_is_refused_by_its_name(tmp_path: Path, content: str, message: str):
    """With what would do."""
    with pytest.raises(InventoryError) as error:
        inventory.load(write(tmp_path, a=content))
    assert message in str(error.value)


def test_a_range_file_that_is_not_there_ends_the_command(tmp_path: Path):
    """Exit code 2, and both files by name."""
    known = write(tmp_path, a=LINES)
    (tmp_path / "a.json").unlink()
    config = tmp_path / "crosspane.toml"
    config.write_text(f'inventory = "{known}"\n')
    done = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert done.exit_code == 2
    assert f"{known}: a.json: No such file or directory" in done.output


def test_a_range_file_is_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """More is not read."""
    monkeypatch.setattr(published, "_MAX_BYTES", 12)
    with pytest.raises(InventoryError, match=r"a\.json: more than 12 bytes"):
        inventory.load(write(tmp_path, a="192.0.2.0/24\n"))


KEYS = (
    *("prefixes", "ipv6_prefixes", "values", "ip_prefix", "ipv6_prefix", "ipv4Prefix", "scope"),
    *("ipv6Prefix", "service", "region", "name", "properties", "addressPrefixes"),
)
JSON = st.recursive(
    st.sampled_from([None, True, 7, "", "GLOBAL", "10.0.0.0/8", "fd00::/8", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_ranges_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    """Nothing a file can hold raises anything else."""
    path = tmp_path_factory.getbasetemp() / "a.json"
    path.write_bytes(content)
    try:
        fine = published.read([(path, RangeFile(path="a.json"))]).schema == published.SCHEMA
    except InventoryError as error:
        fine = str(error).startswith("a.json: ")
    assert fine


# --- looked up ---------------------------------------------------------------


def named(known: Inventory, identities: Identities, *addresses: int) -> list[object]:
    """Resolution, method and name of the range of destinations that net-a sees."""
    at = pl.Series(["2026-11-26T12:00:00Z"]).str.to_datetime(time_unit="us", time_zone="UTC")
    rows = pl.DataFrame({"dst_ip_lo": addresses}, schema={"dst_ip_lo": pl.UInt64}).with_columns(
        event_time=at[0],
        network_code=pl.lit(known.network_codes["net-a"], pl.Int32),
        src_ip_hi=pl.lit(0, pl.UInt64),
        src_ip_lo=pl.lit(0xFFFF_0A00_0001, pl.UInt64),
        dst_ip_hi=pl.lit(0, pl.UInt64),
    )
    found = enrich_verdicts(rows, identities).join(
        known.prefixes, left_on="dst_prefix_id", right_on="prefix_id", how="left"
    )
    return found.sort("dst_ip_lo").select("dst_resolution", "dst_method", "name").rows()


def test_the_longest_published_range_is_who_an_address_is(tmp_path: Path):
    """Resolved, as external; an address of no range is unknown."""
    known = inventory.load(write(tmp_path, ip_ranges=AWS, goog=GOOG, cloud=CLOUD))
    addresses = (0xFFFF_C000_0201, 0xFFFF_C000_0281, 0xFFFF_C633_64FF, 0xFFFF_CB00_7101)
    assert named(known, Identities.of(known), *addresses) == [
        ("resolved", "external", "aws AMAZON eu-west-1"),
        ("resolved", "external", "aws EC2 eu-west-1"),
        ("unknown", "none", None),
        ("resolved", "external", "gcp us-east1"),
    ]


def touch(path: Path, content: str) -> None:
    """Another content at another time, however fast the test is."""
    path.write_text(content)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


def test_a_range_file_that_changes_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """As is one that was missing when the inventory first named it, and came later."""
    path = write(tmp_path, a="192.0.2.0/24\n")
    known = Known(inventory.load(path), path=path)
    known.reload()
    assert not known.touched
    touch(tmp_path / "a.json", "198.51.100.0/24\n")
    known.reload()
    assert known.touched.ranges
    assert known.inventory.prefixes["name"].to_list() == ["a"]
    assert named(known.inventory, known.identities, 0xFFFF_C000_0201, 0xFFFF_C633_6401) == [
        ("unknown", "none", None),
        ("resolved", "external", "a"),
    ]
    touch(path, path.read_text() + '[[range_files]]\npath = "b.json"\n')
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        known.reload()
        known.reload()
    assert caplog.messages == [
        f"{path}: b.json: No such file or directory; what it said before stays"
    ]
    (tmp_path / "b.json").write_text("203.0.113.0/24\n")
    known.reload()
    assert known.inventory.prefixes["name"].to_list() == ["a", "b"]


def test_a_range_file_that_comes_into_a_folder_is_read(tmp_path: Path):
    """Without a row that names it."""
    (tmp_path / "networks.csv").write_text("name,model\nnet-a,flat\n")
    known = Known(inventory.load(tmp_path), path=tmp_path)
    (tmp_path / "cloud.json").write_text(json.dumps(CLOUD))
    known.reload()
    assert sorted(known.inventory.prefixes["name"]) == ["gcp", "gcp us-east1"]
