"""What an inventory file may say, what it becomes, and how a wrong one is refused."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest

from pipeline import schema
from pipeline.inventory import file as inventory
from pipeline.inventory.file import InventoryError

NETWORKS = """
[[networks]]
name = "net-a"
model = "gateway"
[[networks]]
name = "net-b"
model = "flat"
"""
CLUSTERS = """
[[clusters]]
name = "east"
provider = "aws"
region = "us-east-1"
zones = ["us-east-1a", "us-east-1b"]
network = "net-a"
mesh = "mesh1"
trust_domain = "cluster.local"
"""


@pytest.fixture
def load(tmp_path):
    def _load(text):
        path = tmp_path / "inventory.toml"
        path.write_text(NETWORKS + CLUSTERS + text)
        return inventory.load(path)

    return _load


def test_tables_have_exactly_the_columns_of_the_schema(load):
    """The lake keeps the frames as they are, full or empty."""
    for known in (load(""), inventory.empty()):
        assert known.networks.schema == schema.NETWORKS.schema
        assert known.clusters.schema == schema.CLUSTERS.schema
        assert known.endpoints.schema == schema.ENDPOINTS.schema
        assert known.prefixes.schema == schema.PREFIXES.schema
        assert known.gateways.schema == schema.GATEWAYS.schema
        assert known.peerings.schema == schema.PEERINGS.schema
    assert inventory.empty().network_codes == {"internet": 0}
    assert load("").network_codes == {"net-a": 0, "net-b": 1, "internet": 2}
    assert list(load("").tables) == [
        *("networks", "clusters", "prefixes", "endpoints", "gateways", "peerings")
    ]


def test_an_endpoint_of_each_address_family(load):
    """IPv4 is v4-mapped, times are UTC, what is not said is null."""
    known = load("""
[[endpoints]]
network = "net-a"
ip = "10.0.0.11"
kind = "pod"
cluster = "east"
workload = "web"
valid_from = 2026-11-24T02:00:00.000001+02:00
valid_to = 2026-11-24T01:00:00Z
[[endpoints]]
network = "net-b"
ip = "fd00::1:2"
kind = "vm"
""")
    first, second = known.endpoints.rows(named=True)
    assert (first["endpoint_ip_hi"], first["endpoint_ip_lo"]) == (0, 0xFFFF_0A00_000B)
    assert first["valid_from"] == datetime(2026, 11, 24, 0, 0, 0, 1, tzinfo=UTC)
    assert first["valid_to"] == datetime(2026, 11, 24, 1, tzinfo=UTC)
    assert (first["cluster"], first["workload"], first["pod"]) == ("east", "web", None)
    assert (second["endpoint_ip_hi"], second["endpoint_ip_lo"]) == (0xFD00 << 48, 0x1_0002)
    assert (second["cluster"], second["valid_from"], second["valid_to"]) == (None, None, None)


def test_prefix_lengths_count_in_sixteen_bytes(load):
    """A v4 /24 is 120; a v6 /48 is 48."""
    known = load("""
[[prefixes]]
network = "net-a"
cidr = "10.1.2.0/24"
kind = "pod"
[[prefixes]]
network = "net-a"
cidr = "2001:db8:1::/48"
kind = "node"
""")
    columns = ["prefix_ip_hi", "prefix_ip_lo", "prefix_length"]
    assert known.prefixes.select(columns).rows() == [
        (0, 0xFFFF_0A01_0200, 120),
        (0x2001_0DB8_0001_0000, 0, 48),
    ]


def test_a_gateway_is_kept_as_seen_from_its_network(load):
    """Address, port, and where it leads."""
    known = load("""
[[gateways]]
network = "net-b"
ip = "203.0.113.10"
port = 15443
cluster = "east"
to_network = "net-a"
name = "east-eastwest"
""")
    told = ("net-b", 0, 0xFFFF_CB00_710A, 15443, "east", "net-a", "east-eastwest", "file")
    nobody_always = (None, None, None)
    assert [row[1:] for row in known.gateways.rows()] == [(*told, *nobody_always)]


def test_a_peering_holds_both_ways(load):
    """Each network reaches the other; the two rows are two."""
    known = load('[[peerings]]\nnetworks = ["net-b", "net-a"]\nname = "tgw"\n')
    assert known.peerings.select("network", "peer_network", "kind", "name").rows() == [
        ("net-b", "net-a", "declared", "tgw"),
        ("net-a", "net-b", "declared", "tgw"),
    ]
    assert known.peerings["peering_id"].n_unique() == 2


def test_what_sources_call_a_network_is_kept(tmp_path):
    """Each name stands for one network."""
    path = tmp_path / "inventory.toml"
    path.write_text(NETWORKS + 'members = ["aws/vpc-0a1b", "mesh-network-1"]\n')
    assert inventory.load(path).members == {"aws/vpc-0a1b": "net-b", "mesh-network-1": "net-b"}
    path.write_text(
        NETWORKS + 'members = ["x"]\n[[networks]]\nname = "c"\nmodel = "flat"\nmembers = ["x"]\n'
    )
    with pytest.raises(InventoryError, match=r"networks\[2\]\.members: 'x' is a member of 'net-b'"):
        inventory.load(path)


POD = """
[[endpoints]]
network = "net-a"
ip = "10.0.0.11"
kind = "pod"
workload = "web"
valid_from = 2026-11-24T00:00:00Z
"""


def test_ids_are_the_same_everywhere_and_when_a_row_ends(load):
    """Facts of last year point at the row of today; the literal pins the hash."""
    open_ended = load(POD).endpoints["endpoint_id"].to_list()
    ended = load(POD + "valid_to = 2026-11-25T00:00:00Z").endpoints["endpoint_id"].to_list()
    other = load(POD.replace("web", "cart")).endpoints["endpoint_id"].to_list()
    assert open_ended == ended == [4500159226770559802]
    assert other != ended


def test_no_two_ways_to_write_names_give_one_id(load):
    """A name in another key is another endpoint."""
    known = load(POD + POD.replace("workload", "service") + POD.replace("workload", "pod"))
    assert known.endpoints["endpoint_id"].n_unique() == 3


def test_the_same_said_twice_is_one_row_until_its_last_end(load):
    """Two rows that differ in valid_to alone have one id, so they are one row; open wins."""
    early, late = "valid_to = 2026-11-25T00:00:00Z", "valid_to = 2026-11-26T00:00:00Z"
    assert load(POD + early + POD + late).endpoints["valid_to"].to_list() == [
        datetime(2026, 11, 26, tzinfo=UTC)
    ]
    assert load(POD + early + POD).endpoints["valid_to"].to_list() == [None]
    prefix = '[[prefixes]]\nnetwork = "net-a"\ncidr = "10.0.0.0/8"\nkind = "pod"\n'
    assert load(prefix * 2).prefixes.height == 1


def _row(table, **keys: str):
    row = {
        "endpoints": {"network": '"net-a"', "ip": '"10.0.0.1"', "kind": '"pod"'},
        "prefixes": {"network": '"net-a"', "cidr": '"10.0.0.0/8"', "kind": '"pod"'},
        "networks": {"name": '"net-c"', "model": '"flat"'},
        "clusters": {"name": '"west"', "provider": '"gcp"', "network": '"net-b"'},
        "gateways": {
            "network": '"net-a"',
            "ip": '"10.0.0.1"',
            "port": "15443",
            "cluster": '"east"',
            "to_network": '"net-b"',
        },
    }[table] | keys
    return f"[[{table}]]\n" + "\n".join(f"{key} = {value}" for key, value in row.items()) + "\n"


REFUSED = [
    (_row("endpoints", ip='"10.0.0.300"'), r"endpoints[0].ip: '10.0.0.300' is no IPv4 or IPv6"),
    (_row("endpoints", ip='"10.0.0.01"'), r"endpoints[0].ip: '10.0.0.01' is no IPv4 or IPv6"),
    (_row("endpoints", ip='"beef"'), r"endpoints[0].ip: 'beef' is no IPv4 or IPv6 address"),
    (_row("endpoints", ip='"fe80::1%eth0"'), r"endpoints[0].ip: 'fe80::1%eth0' is no IPv4"),
    (_row("endpoints", ip='""'), "endpoints[0].ip: expected `str` of length >= 1"),
    (_row("endpoints", kind='"pods"'), "endpoints[0].kind: invalid enum value 'pods', allowed"),
    (
        _row("endpoints", network='"net"'),
        "endpoints[0].network: 'net' is not declared in networks,",
    ),
    (
        _row("endpoints", cluster='"est"'),
        "endpoints[0].cluster: 'est' is not declared in clusters,",
    ),
    (
        _row("endpoints", podd='"x"'),
        "endpoints[0].podd: no such key, allowed are cluster, identity",
    ),
    (_row("endpoints", pod='"a\\u0000b"'), "endpoints[0].pod: expected `str` matching regex"),
    (_row("endpoints", workload="7"), "endpoints[0].workload: expected `str | null`, got `int`"),
    (
        _row("endpoints", valid_from="2026-11-24T00:00:00"),
        "endpoints[0].valid_from: expected `datetime` with a timezone component",
    ),
    (_row("endpoints", valid_to="1066-10-14T00:00:00Z"), "valid_to: expected a year of 1900 to"),
    (
        _row("endpoints", valid_from="2026-01-01T00:00:00Z", valid_to="2026-01-01T01:00:00+01:00"),
        "endpoints[0].valid_to: 2026-01-01T00:00:00+00:00 is not after valid_from",
    ),
    (_row("prefixes", cidr='"10.0.0.1/8"'), "prefixes[0].cidr: '10.0.0.1/8' has bits set beyond"),
    (_row("prefixes", cidr='"10.0.0.0/33"'), "prefixes[0].cidr: '10.0.0.0/33' is no range"),
    (_row("prefixes", cidr='"10.0.0.0"'), "prefixes[0].cidr: expected `str` matching regex"),
    (_row("prefixes", kind='"pods"'), "'pod', 'service', 'node', 'subnet', 'vpc', 'external'"),
    (_row("prefixes", network='"x"'), "prefixes[0].network: 'x' is not declared in networks"),
    (_row("prefixes", cluster='"x"'), "prefixes[0].cluster: 'x' is not declared in clusters"),
    (_row("networks", name='"net-a"'), "networks[2].name: 'net-a' is declared by networks[0]"),
    (_row("networks", model='"mesh"'), "networks[2].model: invalid enum value 'mesh', allowed are"),
    (_row("clusters", name='"east"'), "clusters[1].name: 'east' is declared by clusters[0]"),
    (
        _row("clusters", network='"x"'),
        "clusters[1].network: 'x' is not declared in networks, allow",
    ),
    (_row("gateways", ip='"gw"'), "gateways[0].ip: 'gw' is no IPv4 or IPv6 address"),
    (_row("gateways", port="0"), "gateways[0].port: expected `int` >= 1"),
    (_row("gateways", port="65536"), "gateways[0].port: expected `int` <= 65535"),
    (_row("gateways", network='"x"'), "gateways[0].network: 'x' is not declared in networks"),
    (_row("gateways", cluster='"x"'), "gateways[0].cluster: 'x' is not declared in clusters"),
    (_row("gateways", to_network='"x"'), "gateways[0].to_network: 'x' is not declared in networks"),
    ('[[endpoints]]\nnetwork = "net-a"\nkind = "pod"\n', "endpoints[0].ip: needed but missing"),
    (
        "[[endpoint]]\n",
        "endpoint: no such key, allowed are clusters, endpoints, gateways, networks",
    ),
    ("[[", "not TOML"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_wrong_row_is_refused_by_the_name_of_its_key(load, text, message):
    """A person must find the row in a file of thousands."""
    with pytest.raises(InventoryError) as error:
        load(text)
    assert message in str(error.value)
    assert "inventory.toml: " in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """The first thing that goes wrong."""
    with pytest.raises(InventoryError, match=r"gone\.toml: No such file"):
        inventory.load(tmp_path / "gone.toml")


# --- a folder of Parquet files -----------------------------------------------


def _folder(tmp_path, **tables: dict):
    networks = {"name": ["net-a", "net-b"], "model": ["gateway", "flat"]}
    for name, columns in ({"networks": networks} | tables).items():
        pl.DataFrame(columns).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_parquet_gives_what_the_same_toml_gives(tmp_path, load):
    """Ids included, so a grown inventory can move from one to the other."""
    clusters = {
        "name": ["east"],
        "provider": ["aws"],
        "region": ["us-east-1"],
        "zones": [["us-east-1a", "us-east-1b"]],
        "network": ["net-a"],
        "mesh": ["mesh1"],
        "trust_domain": ["cluster.local"],
    }
    east = timezone(timedelta(hours=2))
    endpoints = {
        "network": pl.Series(["net-a"], dtype=pl.Categorical),
        "ip": ["10.0.0.11"],
        "kind": ["pod"],
        "workload": ["web"],
        "valid_from": pl.Series([datetime(2026, 11, 24, 2, tzinfo=east)]).dt.cast_time_unit("ns"),
        "cluster": [None],
    }
    known = inventory.load(_folder(tmp_path, clusters=clusters, endpoints=endpoints))
    for name, frame in load(POD).tables.items():
        assert known.tables[name].equals(frame), name


_POD = {"network": ["net-a"] * 2, "ip": ["10.0.0.1", "10.0.0.2"], "kind": ["pod", "pod"]}
REFUSED_TABLES = [
    ({"endpoints": _POD | {"podd": ["x", "y"]}}, "endpoints.podd: no such column, allowed are"),
    ({"endpoints": {"network": ["net-a"]}}, "endpoints.ip: needed but missing"),
    ({"endpoints": _POD | {"ip": ["10.0.0.1", None]}}, "endpoints[1].ip: expected `str`, got `null`"),
    ({"endpoints": _POD | {"ip": ["10.0.0.1", "x"]}}, "endpoints[1].ip: 'x' is no IPv4 or IPv6"),
    ({"endpoints": _POD | {"kind": ["pod", "pot"]}}, "endpoints[1].kind: invalid enum value 'pot'"),
    ({"endpoints": _POD | {"kind": ["pod", "pot"]}}, "allowed are 'pod', 'node', 'vm', 'gateway'"),
    ({"endpoints": _POD | {"pod": ["a", "b\x00"]}}, "endpoints[1].pod: expected `str` matching"),
    (
        {"endpoints": _POD | {"valid_from": [datetime(2026, 1, 1)] * 2}},  # noqa: DTZ001
        "endpoints.valid_from: Datetime(time_unit='us', time_zone=None) has no time zone, allowed",
    ),
    (
        {
            "endpoints": _POD
            | {
                "valid_from": [datetime(2026, 1, 2, tzinfo=UTC)] * 2,
                "valid_to": [None, datetime(2026, 1, 1, tzinfo=UTC)],
            }
        },
        "endpoints[1].valid_to: 2026-01-01T00:00:00+00:00 is not after valid_from",
    ),
    (
        {"gateways": {"network": ["net-a"], "ip": ["10.0.0.1"], "port": [70_000], "cluster": ["c"],
                      "to_network": ["net-b"]}},
        "gateways[0].port: expected `int` <= 65535 (port that leads there)",
    ),
    (
        {"clusters": {"name": ["c"], "provider": ["aws"], "network": ["net-a"], "zones": ["a b"]}},
        "clusters.zones: String, allowed is a list of texts",
    ),
    ({"pods": _POD}, "pods.parquet: no such table, allowed are clusters, endpoints, gateways"),
]  # fmt: skip


@pytest.mark.parametrize(("tables", "message"), REFUSED_TABLES)
def test_a_wrong_parquet_row_is_refused_by_the_name_of_its_column(tmp_path, tables, message):
    """The same words as for TOML."""
    with pytest.raises(InventoryError) as error:
        inventory.load(_folder(tmp_path, **tables))
    assert message in str(error.value)


def test_a_folder_without_networks_is_refused(tmp_path):
    """Nothing means anything without its network."""
    with pytest.raises(InventoryError, match=r"networks\.parquet: needed but missing"):
        inventory.load(tmp_path)


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    """An interrupted export."""
    (tmp_path / "networks.parquet").write_bytes(b"PAR1")
    with pytest.raises(InventoryError, match=r"networks\.parquet: cannot be read"):
        inventory.load(tmp_path)
