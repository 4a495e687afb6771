"""The bundled recording: captures by cluster, and the inventory of their time."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
INVENTORY: Final = FOLDER / "inventory.toml"
NETWORKS: Final = {
    "cluster-east": "net-east",
    "cluster-west": "net-west",
    "cluster-onprem": "net-flat",
    "cluster-edge": "net-flat",
}
"""Cluster to the network its observers stand in."""


def captures(cluster: str) -> list[Path]:
    """Flow captures and access logs of one cluster."""
    return sorted(path for path in (FOLDER / "captures" / cluster).iterdir() if path.is_file())
