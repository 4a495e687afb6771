"""Dashboards are what Grafana's own types say: `@grafana/schema`, by the TypeScript compiler."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cache import kept
from conftest import require_program

from dashboards.boards import BOARDS

HERE = Path(__file__).parent / "schema"
SCHEMA = "@grafana/schema@13.2.3"
SCHEMA_SHA512 = (
    "rk8FEO7yuFfRTK/JD39747SZFQ+iCTQbpm6Mh2OjnqGx/g/uQQFx56t64eCLXWEyoR68ru4cigcGKrXk+ozrLg=="
)
KINDS = {
    "stat": "stat", "timeseries": "timeseries", "table": "table", "nodeGraph": "nodegraph",
    "geomap": "geomap", "state-timeline": "statetimeline", "bargauge": "bargauge",
    "barchart": "barchart", "heatmap": "heatmap", "text": "text",
}  # fmt: skip
"""Panel kind to the folder of its types; Grafana publishes none for `alertlist`."""
FIELDS = ("timeseries", "table", "state-timeline", "barchart", "heatmap")
"""Kinds whose fields have options of their own."""

HEAD = """\
import type { Dashboard } from '@grafana/schema';
// JSON has the values of enums, and not their names.
type Plain<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends Array<infer U> ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
// What the PostgreSQL data source has in a query; its types are the plugin's own.
type Sql = { format: 'table' | 'time_series'; editorMode: 'code'; rawQuery: true; rawSql: string };
"""
SQL = ("format", "editorMode", "rawQuery", "rawSql")


def _unpack(folder: Path) -> None:
    """Unpack the compiler and the types; a plain install wants a package nobody published."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder / name)
    subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=folder, check=True, capture_output=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", SCHEMA], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = folder / packed.stdout.split()[-1]
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert digest == SCHEMA_SHA512, "another @grafana/schema than the one that was read"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


@pytest.fixture(scope="module")
def compiler() -> Path:
    """Folder with `node_modules` and, in `package`, the types."""
    require_program("npm", "npm")
    return kept("grafana-schema-13.2.3", _unpack)


def check(compiler: Path, folder: Path, source: str) -> str:
    """What the compiler says of a file; nothing, if it is right."""
    types = compiler / "package/dist/types"
    (folder / "check.ts").write_text(source)
    settings = {
        "compilerOptions": {
            "strict": True,
            "noEmit": True,
            "skipLibCheck": True,
            "target": "es2022",
            "module": "esnext",
            "moduleResolution": "bundler",
            "types": [],
            "paths": {
                "@grafana/schema": [str(types / "index.d.ts")],
                "kinds/*": [str(types / "raw/composable/*/panelcfg/x/types.gen.d.ts")],
            },
        },
        "files": ["check.ts"],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [compiler / "node_modules/.bin/tsc", "--project", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout


def source_of(boards: list[dict[str, Any]]) -> str:
    """TypeScript that says of each dashboard, and of each panel's options, what they are."""
    lines = [HEAD]
    lines += [f"import type * as {folder} from 'kinds/{folder}';" for folder in KINDS.values()]
    for nth, board in enumerate(boards):
        for place, target in enumerate(_targets(board)):
            ours = json.dumps({key: target.pop(key) for key in SQL})
            lines.append(f"export const sql{nth}_{place}: Sql = {ours};")
        lines.append(f"export const board{nth}: Plain<Dashboard> = {json.dumps(board)};")
        for panel in board["panels"]:
            folder = KINDS.get(panel["type"])
            if not folder:
                continue
            name = f"{folder}{nth}_{panel['id']}"
            options = json.dumps(panel["options"])
            lines.append(f"export const {name}: Plain<{folder}.Options> = {options};")
            custom = panel["fieldConfig"]["defaults"].get("custom")
            if custom and panel["type"] in FIELDS:
                lines.append(
                    f"export const {name}f: Plain<Partial<{folder}.FieldConfig>> = {json.dumps(custom)};"
                )
    return "\n".join(lines)


def _targets(board: dict[str, Any]) -> list[dict[str, Any]]:
    notes = [note["target"] for note in board["annotations"]["list"] if "target" in note]
    return notes + [target for panel in board["panels"] for target in panel.get("targets", ())]


def test_dashboards_are_what_grafanas_types_say(compiler: Path, tmp_path: Path):
    """Every dashboard, every panel's options, and the options of its fields."""
    assert check(compiler, tmp_path, source_of([board.json() for board in BOARDS])) == ""


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Type 'number' is not assignable to type 'string'": lambda board: board.update(refresh=5),
    "colour": lambda board: board.update(colour="red"),
    "loud": lambda board: board["panels"][1]["options"].update(colorMode="loud"),
    "graphmode": lambda board: board["panels"][1]["options"].update(graphmode="area"),
    "textMode": lambda board: board["panels"][1]["options"].pop("textMode"),
}
"""What the compiler says of it: a wrong type, an unknown key, a value that is none, a missing one."""


def test_the_compiler_sees_what_is_wrong(compiler: Path, tmp_path: Path):
    """Each mistake is told, and nothing else."""
    broken = []
    for break_it in WRONG.values():
        (board,) = [board.json() for board in BOARDS if board.name == "pipeline"]
        assert board["panels"][1]["type"] == "stat"
        break_it(board)
        broken.append(board)
    told = check(compiler, tmp_path, source_of(broken))
    assert [said for said in WRONG if said not in told] == []
    assert told.count("error TS") == len(WRONG)
