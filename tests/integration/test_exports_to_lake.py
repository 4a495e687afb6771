"""From clouds' exports to the lake: what they list has lives, in the networks a file says."""

import json
import sys
from pathlib import Path

from running import AGENT, HASTY, up, wait_for

CONFIG = f"""
inventory = "inventory"
{HASTY}
[[agents]]
name = "clouds"
cluster = "east"
network = "net-east"
{AGENT}
[[agents.inputs]]
type = "gcp"
files = ["google/*.json"]
interval_s = 0.3
[[agents.inputs]]
type = "azure"
commands = [[{json.dumps(sys.executable)}, "-S", "-c", "print(open('azure.json').read())"]]
"""
PATH = "projects/p/global/networks/n"
VNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"


def asset(name: str, ip: str) -> dict[str, object]:
    """One machine, as Cloud Asset Inventory exports it."""
    path = f"projects/p/zones/europe-west1-b/instances/{name}"
    return {
        "name": f"//compute.googleapis.com/{path}",
        "assetType": "compute.googleapis.com/Instance",
        "resource": {
            "data": {
                "name": name,
                "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b",
                "networkInterfaces": [{"network": f"https://x/compute/v1/{PATH}", "networkIP": ip}],
            }
        },
    }


def interface(name: str, ip: str) -> dict[str, object]:
    """One network interface, as Resource Manager lists it."""
    subnet = {"id": f"{VNET}/subnets/a"}
    return {
        "id": VNET.replace("virtualNetworks/v", f"networkInterfaces/{name}"),
        "name": name,
        "location": "eastus",
        "properties": {
            "ipConfigurations": [{"properties": {"privateIPAddress": ip, "subnet": subnet}}]
        },
    }


def test_exports_become_lives_in_the_networks_of_the_inventory_file(tmp_path: Path):
    """A network that is a member of another is that one; a machine no export has any more ended."""
    (tmp_path / "crosspane.toml").write_text(CONFIG)
    (tmp_path / "inventory").mkdir()
    members = f"name,model,members\nnet-east,flat,gcp/{PATH}\n"
    (tmp_path / "inventory/networks.csv").write_text(members)
    (tmp_path / "inventory/clusters.yaml").write_text(
        "- {name: east, provider: gcp, network: net-east}\n"
    )
    google = tmp_path / "google"
    google.mkdir()
    lines = [json.dumps(asset("web", "10.0.0.2")), json.dumps(asset("db", "10.0.0.3"))]
    (google / "assets.json").write_text("\n".join(lines))
    (tmp_path / "azure.json").write_text(json.dumps({"value": [interface("nic", "10.0.0.2")]}))
    query = """SELECT network, ip, kind, workload, zone, provider, valid_to IS NULL
        FROM v_endpoints ORDER BY provider, workload"""
    web = ("net-east", "10.0.0.2", "vm", "web", "europe-west1-b", "gcp")
    db = ("net-east", "10.0.0.3", "vm", "db", "europe-west1-b", "gcp")
    nic = (f"azure/{VNET.lower()}", "10.0.0.2", "interface", "nic", None, "azure")
    with up(tmp_path):
        rows = wait_for(tmp_path, query, lambda rows: len(rows) == 3)
        assert rows == [(*nic, True), (*db, True), (*web, True)]
        (google / "assets.json").write_text(lines[0])
        rows = wait_for(tmp_path, query, lambda rows: not all(row[-1] for row in rows))
        assert rows == [(*nic, True), (*db, False), (*web, True)]
