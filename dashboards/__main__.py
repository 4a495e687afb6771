"""
``python -m dashboards``: write what is generated from the boards.

Before: boards/. After: grafana/, the files that Grafana reads.
"""

from dashboards.write import ROOT, files

for name, content in files().items():
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
