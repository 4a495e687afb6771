"""
The reference pages, written from the definitions they document.

    python -m docs.generate           write them
    python -m docs.generate --check   exit with 1 if they are not what is written
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin

import click
import msgspec

from pipeline import accounting, rejects, schema, views
from pipeline.cli import main as command_line
from pipeline.config import Config
from pipeline.schema.proxies import METRICS

FOLDER: Final = Path(__file__).parent / "reference"
_NOTE: Final = "<!-- Written by `make docs` from the definitions: change those. -->\n\n"


def schema_page() -> str:
    """Tables and views."""
    lines = [_NOTE + "# Tables and views\n\n" + (schema.__doc__ or "").strip() + "\n"]
    lines.append("\n# Views\n\nThe contract for readers. Names, units and meanings are stable.\n")
    for view in views.VIEWS:
        lines.append(f"\n## {view.name}\n\n{view.meaning}\n\n| column | meaning |\n|---|---|")
        lines += [f"| `{name}` | {_cell(meaning)} |" for name, meaning in view.columns.items()]
    lines.append(
        "\n# Functions\n\nViews of a span: `FROM edges_between(TIMESTAMPTZ '...', now())`.\n"
    )
    for function in views.FUNCTIONS:
        lines.append(
            f"\n## {function.name}({', '.join(function.parameters)})\n\n{function.meaning}\n"
            "\n| parameter | meaning |\n|---|---|"
        )
        lines += [f"| `{name}` | {_cell(told)} |" for name, told in function.parameters.items()]
        lines.append("\n| column | meaning |\n|---|---|")
        lines += [f"| `{name}` | {_cell(told)} |" for name, told in function.columns.items()]
    lines.append("\n# Tables\n\nWhat views are made of; may change between versions.\n")
    for table in schema.TABLES:
        lines.append(
            f"\n## {table.name}\n\n{table.meaning}\n\n"
            "| column | type | meaning | source |\n|---|---|---|---|"
        )
        lines += [
            f"| `{column.name}` | {schema.sql_type(column)} | {_cell(column.meaning)} |"
            f" {_cell(column.source)} |"
            for column in table.columns
        ]
    lines.append("\n# Reasons for a reject\n")
    lines += [f"- `{reason.value}`" for reason in rejects.Reason]
    lines.append("\n# Counters of `accounting`\n")
    lines += [f"- `{name}`: {meaning}" for name, meaning in accounting.COUNTERS.items()]
    lines.append(
        "\n# Metrics of `proxy_samples`\n\n| metric | kind | unit | meaning |\n|---|---|---|---|"
    )
    lines += [
        f"| `{name}` | {metric.kind} | {metric.unit} | {_cell(metric.meaning)} |"
        for name, metric in METRICS.items()
    ]
    return "\n".join(lines) + "\n"


def config_page() -> str:
    """Every key of the configuration."""
    head = (
        _NOTE
        + "# Configuration\n\nOne TOML file. `crosspane config` prints it with all defaults.\n"
    )
    return head + "\n".join(_keys(Config, "")) + "\n"


def _keys(struct: type[msgspec.Struct], path: str) -> Iterator[str]:
    tag = struct.__struct_config__.tag
    title = f"`{path}`" if path else "Top level"
    yield f"\n## {title}" + (f' with `type = "{tag}"`' if tag else "")
    yield f"\n{(struct.__doc__ or '').strip()}\n\n| key | default | meaning |\n|---|---|---|"
    nested: list[tuple[type[msgspec.Struct], str]] = []
    for field in msgspec.structs.fields(struct):
        kind, notes = field.type, ()
        if get_origin(kind) is Annotated:
            kind, *rest = get_args(kind)
            notes = tuple(rest)
        inner = list(_structs(kind))
        is_list = get_origin(kind) is tuple
        name = f"{path}.{field.encode_name}" if path else field.encode_name
        nested += [(one, f"{name}[]" if is_list else name) for one in inner]
        default = "" if inner else _default(field)
        meaning = next((n.description for n in notes if getattr(n, "description", None)), "")
        bounds = [
            f"{symbol} {getattr(n, key)}"
            for n in notes
            for key, symbol in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            if getattr(n, key, None) is not None
        ]
        limits = f" ({', '.join(bounds)})" if bounds else ""
        yield f"| `{field.encode_name}` | {_cell(default)} | {_cell(meaning + limits)} |"
    for one, name in nested:
        yield from _keys(one, name)


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        return
    for part in get_args(kind):
        yield from _structs(part)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def cli_page() -> str:
    """``--help`` of every command."""
    settings = command_line.context_settings | {"terminal_width": 100}
    context = click.Context(command_line, info_name="crosspane", **settings)
    parts = [
        _NOTE
        + "# The `crosspane` command\n\n```text\n"
        + command_line.get_help(context)
        + "\n```\n"
    ]
    for name in command_line.list_commands(context):
        command = command_line.get_command(context, name)
        assert command is not None  # noqa: S101 - it was listed
        parts += _help_of(command, name, context)
    return "".join(parts)


def _help_of(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """``--help`` of a command, and of those below it."""
    inner = click.Context(command, info_name=name, parent=parent, terminal_width=100)
    parts = [f"\n## {inner.command_path}\n\n```text\n{command.get_help(inner)}\n```\n"]
    if isinstance(command, click.Group):
        for each, below in command.commands.items():
            parts += _help_of(below, each, inner)
    return parts


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES: Final = {"schema.md": schema_page, "config.md": config_page, "cli.md": cli_page}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    stale = []
    for name, page in PAGES.items():
        path = FOLDER / name
        text = page()
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
