"""CSV and YAML files of the inventory: the same rows as in TOML, refused in the same words."""

import re
import textwrap
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InventoryError
from pipeline.inventory import file as inventory
from pipeline.inventory import tables

TOML = """
[[networks]]
name = "net-a"
model = "gateway"
members = ["aws/vpc-1", "aws/vpc-2"]

[[networks]]
name = "net-b"
model = "flat"

[[clusters]]
name = "east"
provider = "onprem"
network = "net-a"
zones = ["r1", "r2"]

[[prefixes]]
network = "net-a"
cidr = "10.1.0.0/16"
kind = "subnet"
name = "racks, row 1"

[[endpoints]]
network = "net-a"
ip = "10.1.0.7"
kind = "vm"
workload = "db"
zone = "1"
valid_from = 2026-11-24T02:00:00+02:00

[[gateways]]
network = "net-b"
ip = "203.0.113.9"
port = 15443
cluster = "east"
to_network = "net-a"

[[peerings]]
networks = ["net-a", "net-b"]
"""
CSV = {
    "networks": "model,name,members\ngateway,net-a,aws/vpc-1; aws/vpc-2\nflat,net-b,\n",
    "clusters": "name,provider,network,zones\r\neast,onprem,net-a,r1 r2\r\n",
    "prefixes": '\ufeffnetwork,cidr,kind,name\nnet-a,10.1.0.0/16,subnet,"racks, row 1"\n\n',
    "endpoints": (
        "network,ip,kind,workload,zone,valid_from,valid_to\n"
        "net-a,10.1.0.7,vm,db,1,2026-11-24T00:00:00Z,\n"
    ),
    "gateways": "network,ip,port,cluster,to_network\nnet-b,203.0.113.9,15443,east,net-a\n",
    "peerings": "networks\nnet-a net-b\n",
}
YAML = """
networks:
- {name: net-a, model: gateway, members: [aws/vpc-1, aws/vpc-2]}
- name: net-b
  model: flat
clusters:
- {name: east, provider: onprem, network: net-a, zones: [r1, r2]}
prefixes:
- {network: net-a, cidr: 10.1.0.0/16, kind: subnet, name: "racks, row 1"}
endpoints:
- network: net-a
  ip: 10.1.0.7
  kind: vm
  workload: db
  zone: "1"
  valid_from: 2026-11-24T02:00:00+02:00
gateways:
- {network: net-b, ip: 203.0.113.9, port: 15443, cluster: east, to_network: net-a}
peerings:
- {networks: [net-a, net-b]}
"""


@pytest.fixture
def of_toml(tmp_path):
    """The inventory all of these files are."""
    path = tmp_path / "inventory.toml"
    path.write_text(TOML)
    return inventory.load(path)


def same(known, expected) -> bool:
    frames = expected.tables.items()
    return all(known.tables[name].equals(frame) for name, frame in frames) and (
        known.members == expected.members
    )


def folder(tmp_path, **files: str):
    """Make a folder of the inventory; ``prefixes_csv`` is the file prefixes.csv."""
    there = tmp_path / "inventory"
    there.mkdir(exist_ok=True)
    for name, text in files.items():
        there.joinpath(name.replace("_", ".")).write_text(text, "utf-8")
    return there


def test_a_folder_of_csv_is_what_the_toml_file_is(tmp_path, of_toml):
    """Any order of columns, quotes, a byte order mark, blank lines, either end of line."""
    path = folder(tmp_path, **{f"{name}_csv": text for name, text in CSV.items()})
    assert same(inventory.load(path), of_toml)


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_yaml_file_is_what_the_toml_file_is(tmp_path, of_toml, suffix):
    """Rows in either style."""
    path = tmp_path / f"inventory.{suffix}"
    path.write_text(YAML)
    assert same(inventory.load(path), of_toml)


def test_a_folder_may_hold_all_kinds(tmp_path, of_toml):
    """A table a file, each as it is convenient; an empty one is no rows, others are left alone."""
    of_toml.networks.select("model", name="network").with_columns(
        pl.Series("members", [["aws/vpc-1", "aws/vpc-2"], []])
    ).write_parquet(folder(tmp_path) / "networks.parquet")
    path = folder(
        tmp_path,
        clusters_csv=CSV["clusters"],
        prefixes_yml=textwrap.dedent(YAML.partition("prefixes:\n")[2].partition("endpoints:")[0]),
        endpoints_csv=CSV["endpoints"],
        gateways_csv=CSV["gateways"],
        peerings_csv=CSV["peerings"],
        readme_txt="not a table",
    )
    assert same(inventory.load(path), of_toml)
    (path / "prefixes.yml").write_text("# later\n")
    (path / "endpoints.csv").write_text("network,ip,kind\n")
    known = inventory.load(path)
    assert (known.prefixes.height, known.endpoints.height, known.gateways.height) == (0, 0, 1)


HEAD = "network,ip,kind"
REFUSED_CSV = [
    ("endpoints", f"{HEAD}\nnet-a,10.0.0.300,pod\n", "endpoints[0].ip: '10.0.0.300' is no IPv4"),
    (
        "endpoints",
        f"{HEAD}\nnet-a,10.0.0.3,pot\n",
        "endpoints.csv: endpoints[0].kind: invalid enum",
    ),
    (
        "endpoints",
        f"{HEAD}\n\nnet-a,10.0.0.3,vm\nnet-a,,vm\n",
        "endpoints[1].ip: needed but missing",
    ),
    ("endpoints", "network,kind\n", "endpoints.csv: endpoints.ip: needed but missing"),
    ("endpoints", "", "endpoints.csv: endpoints.network: needed but missing"),
    (
        "endpoints",
        f"{HEAD},podd\n",
        "endpoints.podd: no such column, allowed are cluster, identity",
    ),
    ("endpoints", f"{HEAD},ip\n", "endpoints.ip: the header has it twice"),
    ("endpoints", f"{HEAD}\nnet-a,10.0.0.3\n", "endpoints[0]: 2 cells, the header has 3"),
    ("endpoints", f"{HEAD}\nnet-a,10.0.0.3,vm,\n", "endpoints[0]: 4 cells, the header has 3"),
    (
        "endpoints",
        f'{HEAD}\nnet-a,"10.0.0.3,vm\n',
        "endpoints.csv: not CSV: unexpected end of data",
    ),
    ("endpoints", f"{HEAD}\nnet-x,10.0.0.3,vm\n", "endpoints[0].network: 'net-x' is not declared"),
    (
        "endpoints",
        f"{HEAD},valid_from\nnet-a,10.0.0.3,vm,2026-11-24T00:00:00\n",
        "endpoints[0].valid_from: expected `datetime` with a timezone component (from when, incl",
    ),
    (
        "endpoints",
        f"{HEAD},valid_from\nnet-a,10.0.0.3,vm,yesterday\n",
        "endpoints[0].valid_from: invalid RFC3339 encoded datetime",
    ),
    (
        "gateways",
        f"{CSV['gateways']}net-b,203.0.113.9,70000,east,net-a\n",
        "gateways.csv: gateways[1].port: expected `int` <= 65535 (port that leads there)",
    ),
    (
        "gateways",
        f"{CSV['gateways']}net-b,203.0.113.9,https,east,net-a\n",
        "gateways[1].port: expected `int`, got `str`",
    ),
    ("peerings", "networks\nnet-a\n", "peerings[0].networks: expected `array` of length >= 2"),
    ("pods", "a\n1\n", "pods.csv: no such table, allowed are clusters, endpoints, gateways"),
]


@pytest.mark.parametrize(("table", "text", "message"), REFUSED_CSV)
def test_a_wrong_csv_row_is_refused_by_file_row_and_key(tmp_path, table, text, message):
    """The same words as for TOML."""
    tables_here = {f"{name}_csv": CSV[name] for name in ("networks", "clusters")}
    with pytest.raises(InventoryError) as error:
        inventory.load(folder(tmp_path, **tables_here | {f"{table}_csv": text}))
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


REFUSED_YAML = [
    ("- {network: net-a, cidr: 10.0.0.1/8, kind: pod}", "prefixes[0].cidr: '10.0.0.1/8' has bits"),
    ("- {network: net-a, cidr: 10.0.0.0/8, kind: pot}", "prefixes.yaml: prefixes[0].kind: invalid"),
    ("- {network: net-a, cidr: 10.0.0.0/8, kind: pod, name: 7}", "prefixes[0].name: expected `str"),
    (
        "- {network: no, cidr: 10.0.0.0/8, kind: pod}",
        "prefixes[0].network: expected `str`, got `bool`",
    ),
    ("- {network: a, network: b}", "prefixes.yaml: line 1: 'network' is there twice"),
    ("- &a {network: a}\n- *a", "prefixes.yaml: line 2: aliases are not allowed"),
    ("prefixes: []", "prefixes: expected `array`, got `object`"),
    ("- {a: [[[[[[[a]]]]]]]}", "prefixes.yaml: line 1: deeper than 8"),
    (
        "[" * 100_000,
        "prefixes.yaml: not YAML: while increasing flow level exceeded maximum nesting",
    ),
    ("- [", "prefixes.yaml: not YAML: while parsing"),
    ("- !!python/object/apply:os.system [ls]", "not YAML: could not determine a constructor"),
    ("- 2026-99-99", "prefixes.yaml: not YAML: month must be in 1..12"),
    ("--- []\n--- []", "not YAML: expected a single document"),
    ("\x00", "not YAML: unacceptable character"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED_YAML)
def test_a_wrong_yaml_row_is_refused_by_file_row_and_key(tmp_path, text, message):
    """The same words as for TOML; nothing is run, nothing grows."""
    with pytest.raises(InventoryError) as error:
        inventory.load(folder(tmp_path, networks_csv=CSV["networks"], prefixes_yaml=text))
    assert message.lower() in str(error.value).lower()


def test_a_wrong_row_of_one_yaml_file_is_named_as_in_toml(tmp_path):
    """Table, row and key; the file is the one that was given."""
    path = tmp_path / "inventory.yaml"
    path.write_text(YAML.replace("vm", "vn"))
    with pytest.raises(
        InventoryError, match=rf"{re.escape(str(path))}: endpoints\[0\]\.kind: inva"
    ):
        inventory.load(path)
    path.write_text("- networks")
    with pytest.raises(InventoryError, match="file: expected `object`, got `array`"):
        inventory.load(path)


def test_a_table_is_in_one_file(tmp_path):
    """Which of two would count is not to be guessed."""
    path = folder(tmp_path, networks_csv=CSV["networks"], networks_yaml="[]")
    with pytest.raises(
        InventoryError, match=r"networks\.yaml: networks\.csv has this table already"
    ):
        inventory.load(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    """With what would do; Parquet has no such bound."""
    monkeypatch.setattr(tables, "_MAX_CSV_BYTES", 60)
    monkeypatch.setattr(tables, "_MAX_YAML_BYTES", 20)
    for name in ("networks_csv", "networks_yaml"):
        with pytest.raises(InventoryError, match=r"more than [26]0 bytes: use Parquet"):
            inventory.load(folder(tmp_path, **{name: "# " + "x" * 100}))
        (tmp_path / "inventory" / name.replace("_", ".")).unlink()


def test_the_page_shows_files_that_can_be_read(tmp_path):
    """Its blocks are an inventory, in one file and in a folder."""
    page = (Path(__file__).parents[3] / "docs/how-to/inventory.md").read_text("utf-8")
    shown = dict[str, str]()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        shown[language] = shown.get(language, "") + text
    west = (
        '[[networks]]\nname = "net-west"\nmodel = "gateway"\n[[clusters]]\nname = "cluster-west"\n'
    )
    (tmp_path / "ip-ranges.json").write_text('{"prefixes": [], "ipv6_prefixes": []}')
    (tmp_path / "cloudflare-v4.txt").write_text("192.0.2.0/24\n")
    path = tmp_path / "inventory.toml"
    path.write_text(f'{shown["toml"]}{west}provider = "gcp"\nnetwork = "net-west"\n')
    known = inventory.load(path)
    assert [frame.height for frame in known.tables.values()] == [3, 2, 3, 1, 1, 2]
    assert known.prefixes["name"].to_list()[-1] == "cloudflare"
    networks = "name,model\nnet-dc,flat\n"
    there = folder(
        tmp_path, networks_csv=networks, endpoints_csv=shown["csv"], prefixes_yaml=shown["yaml"]
    )
    known = inventory.load(there)
    assert known.endpoints["workload"].to_list() == ["billing", "ledger"]
    assert known.prefixes["name"].to_list() == ["racks of room 2"]


@given(st.binary(max_size=120), st.sampled_from(["networks.csv", "networks.yaml"]))
def test_any_bytes_are_tables_or_refused(tmp_path_factory, data, name):
    """Nothing a file can hold raises anything but `InventoryError`."""
    path = tmp_path_factory.mktemp("any")
    (path / name).write_bytes(data)
    try:
        assert inventory.load(path).networks.width == 4
    except InventoryError as error:
        assert str(path) in str(error)  # noqa: PT017 either is right
