"""
``python -m dashboards``: write what is generated from the boards.

Before: write.py. After: grafana/ and deploy/grafana/provisioning.
"""

from dashboards.write import ROOT, files


def main() -> None:
    """Write every file, and leave none of a board that is gone."""
    made = files()
    for path in (ROOT / "dashboards/grafana").glob("*.json"):
        if str(path.relative_to(ROOT)) not in made:
            path.unlink()
    for name, content in made.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


if __name__ == "__main__":
    main()
