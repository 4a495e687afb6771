"""`crosspane dashboards` against a stub of Grafana's API that keeps what it is given."""

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dashboards.boards import BOARDS
from pipeline.cli import main

Json = dict[str, Any]
CREATED = 4 + len(BOARDS)
"""Folder, data source, contact point, rules, and every dashboard."""


class Stub(BaseHTTPRequestHandler):
    """As far as `provision` asks; adds to what it is given what Grafana adds."""

    kept: dict[str, Any]
    calls: list[tuple[str, str]]

    def do_GET(self) -> None:
        """What is kept."""
        path = self.path.split("?")[0]
        if path == "/api/frontend/settings":
            self._answer({"buildInfo": {"version": "13.2.3", "commit": "c"}})
        elif path == "/api/v1/provisioning/contact-points":
            self._answer(self.kept.get("contact-points", []))
        elif path in self.kept:
            self._answer(self.kept[path])
        else:
            self._answer({"message": "not found"}, 404)

    def do_POST(self) -> None:
        """Keep something new."""
        body = self._body()
        if self.path == "/api/dashboards/db":
            board = body["dashboard"] | {"id": 7, "version": 1}
            meta = {"folderUid": body["folderUid"], "slug": "x"}
            self.kept[f"/api/dashboards/uid/{board['uid']}"] = {"dashboard": board, "meta": meta}
        elif self.path == "/api/folders":
            self.kept[f"/api/folders/{body['uid']}"] = body | {"id": 1, "version": 1}
        elif self.path == "/api/datasources":
            self._datasource(body)
        elif self.path == "/api/v1/provisioning/contact-points":
            self._contact(body)
        self._answer(body)

    def do_PUT(self) -> None:
        """Keep it instead."""
        body = self._body()
        if self.path.startswith("/api/datasources/"):
            self._datasource(body)
        elif self.path.startswith("/api/v1/provisioning/contact-points/"):
            self._contact(body)
        else:
            for rule in body.get("rules", []):
                rule |= {"id": 3, "updated": "2026-11-24T00:00:00Z", "provenance": "api"}
            self.kept[self.path] = body
        self._answer(body)

    def _datasource(self, body: Json) -> None:
        secrets = body.pop("secureJsonData")
        body |= {"id": 2, "readOnly": False, "secureJsonFields": dict.fromkeys(secrets, True)}
        self.kept[f"/api/datasources/uid/{body['uid']}"] = body

    def _contact(self, body: Json) -> None:
        hidden = body["settings"] | {"url": "[REDACTED]"}
        self.kept["contact-points"] = [body | {"settings": hidden, "provenance": "api"}]

    def _body(self) -> Json:
        self.calls.append((self.command, self.path))
        body: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _answer(self, document: Any, status: int = 200) -> None:
        if self.headers.get("Authorization") != "Bearer secret":
            document, status = {"message": "Invalid API key"}, 401
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing."""


class Grafana:
    """A stub that runs, and the command that asks it."""

    def __init__(self, url: str, handler: type[Stub], folder: Path) -> None:
        self.url, self.kept, self.calls = url, handler.kept, handler.calls
        self.token = folder / "token"
        self.token.write_text("secret\n")

    def provision(self, *more: str) -> Result:
        """Run `crosspane dashboards provision`, and forget what was written before."""
        self.calls.clear()
        return CliRunner().invoke(
            main,
            ["dashboards", "provision", "--url", self.url, "--token-file", str(self.token), *more],
        )


@pytest.fixture
def grafana(tmp_path: Path) -> Generator[Grafana]:
    """An empty one."""
    handler = type("Handler", (Stub,), {"kept": {}, "calls": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Grafana(f"http://127.0.0.1:{server.server_address[1]}", handler, tmp_path)
    server.shutdown()
    server.server_close()
    thread.join()


ALERTS = ("--alert-url", "http://127.0.0.1:9/hook")


def test_an_empty_grafana_gets_everything_and_then_nothing(grafana: Grafana):
    """Once written, nothing differs: a second time no call writes."""
    first = grafana.provision(*ALERTS)
    assert first.exit_code == 0, first.output
    assert first.output.endswith(f"{CREATED} of {CREATED} written\n")
    assert [call for call in grafana.calls if "dashboards/db" not in call[1]] == [
        ("POST", "/api/folders"),
        ("POST", "/api/datasources"),
        ("POST", "/api/v1/provisioning/contact-points"),
        ("PUT", "/api/v1/provisioning/folder/crosspane/rule-groups/crosspane"),
    ]
    second = grafana.provision(*ALERTS)
    assert second.output.endswith(f"0 of {CREATED} written\n")
    assert grafana.calls == []


def test_what_grafana_is_given(grafana: Grafana):
    """The data source that panels name, rules that tell our contact point, dashboards in our folder."""
    grafana.provision(*ALERTS, "--sql", "sql.example:5433", "--sql-user", "grafana")
    source = grafana.kept["/api/datasources/uid/crosspane"]
    assert source["type"] == "grafana-postgresql-datasource"
    assert source["url"] == "sql.example:5433"
    assert source["user"] == "grafana"
    assert source["jsonData"]["sslmode"] == "verify-full"
    assert source["jsonData"]["timescaledb"] is True
    rules = grafana.kept["/api/v1/provisioning/folder/crosspane/rule-groups/crosspane"]
    assert rules["interval"] == 60
    assert {rule["notification_settings"]["receiver"] for rule in rules["rules"]} == {"crosspane"}
    assert (
        grafana.kept["/api/dashboards/uid/crosspane-overview"]["meta"]["folderUid"] == "crosspane"
    )


def test_a_server_on_this_machine_is_asked_without_tls(grafana: Grafana):
    """Where `crosspane serve` has none by itself."""
    grafana.provision()
    source = grafana.kept["/api/datasources/uid/crosspane"]
    assert (source["url"], source["jsonData"]["sslmode"]) == ("127.0.0.1:5433", "disable")


def test_without_an_address_for_alerts_policies_decide(grafana: Grafana):
    """No contact point of ours, and rules that name none."""
    result = grafana.provision()
    assert "contact point" not in result.output
    rules = grafana.kept["/api/v1/provisioning/folder/crosspane/rule-groups/crosspane"]["rules"]
    assert not any("notification_settings" in rule for rule in rules)


def test_a_dry_run_writes_nothing_and_says_what_it_would(grafana: Grafana):
    """On an empty Grafana, and on one where somebody changed a dashboard."""
    result = grafana.provision("--dry-run", "--diff", *ALERTS)
    assert (grafana.calls, grafana.kept) == ([], {})
    assert result.output.endswith(f"{CREATED} of {CREATED} would be written\n")
    assert '+  "uid": "crosspane"' in result.output
    grafana.provision(*ALERTS)
    grafana.kept["/api/dashboards/uid/crosspane-overview"]["dashboard"]["title"] = "Mine"
    again = grafana.provision("--dry-run", "--diff", *ALERTS)
    assert grafana.calls == []
    assert "~ dashboard crosspane-overview: would be updated" in again.output
    assert '-    "title": "Mine",' in again.output
    assert '+    "title": "Overview",' in again.output
    assert again.output.endswith(f"1 of {CREATED} would be written\n")


@pytest.mark.parametrize(
    ("key", "change", "call"),
    [
        (
            "/api/dashboards/uid/crosspane-pipeline",
            lambda found: found["dashboard"]["panels"].pop(),
            ("POST", "/api/dashboards/db"),
        ),
        (
            "/api/dashboards/uid/crosspane-pipeline",
            lambda found: found["meta"].update(folderUid="other"),
            ("POST", "/api/dashboards/db"),
        ),
        (
            "/api/datasources/uid/crosspane",
            lambda found: found["jsonData"].update(timescaledb=False),
            ("PUT", "/api/datasources/uid/crosspane"),
        ),
        (
            "/api/folders/crosspane",
            lambda found: found.update(title="Other"),
            ("PUT", "/api/folders/crosspane"),
        ),
        (
            "/api/v1/provisioning/folder/crosspane/rule-groups/crosspane",
            lambda found: found["rules"][0]["data"][2]["model"]["conditions"][0].clear(),
            ("PUT", "/api/v1/provisioning/folder/crosspane/rule-groups/crosspane"),
        ),
    ],
)
def test_only_what_differs_is_written(
    grafana: Grafana, key: str, change: Any, call: tuple[str, str]
):
    """Whatever Grafana adds is no difference; what somebody changed is."""
    grafana.provision()
    change(grafana.kept[key])
    grafana.provision()
    assert grafana.calls == [call]


def test_a_contact_point_of_another_kind_is_put_right(grafana: Grafana):
    """Its address is hidden and cannot be compared; the rest is."""
    grafana.provision(*ALERTS)
    grafana.kept["contact-points"][0]["type"] = "email"
    grafana.provision(*ALERTS)
    assert grafana.calls == [("PUT", "/api/v1/provisioning/contact-points/crosspane")]


def test_force_writes_all(grafana: Grafana, tmp_path: Path):
    """A password cannot be read back, so a new one is no difference."""
    grafana.provision()
    (tmp_path / "password").write_text("new\n")
    grafana.provision("--sql-password-file", str(tmp_path / "password"))
    assert grafana.calls == []
    grafana.provision("--sql-password-file", str(tmp_path / "password"), "--force")
    assert ("PUT", "/api/datasources/uid/crosspane") in grafana.calls
    assert len(grafana.calls) == CREATED - 1


def test_what_goes_wrong_is_one_sentence(grafana: Grafana):
    """A token that is none, a Grafana that is not there, two ways to log in."""
    grafana.token.write_text("wrong")
    refused = grafana.provision()
    assert refused.exit_code == 1
    assert "Grafana says: Unauthorized" in refused.stderr
    nobody = CliRunner().invoke(main, ["dashboards", "provision", "--url", "http://127.0.0.1:9"])
    assert nobody.exit_code == 1
    assert "no Grafana answers" in nobody.stderr
    both = grafana.provision("--user", "admin")
    assert both.exit_code == 2
    assert "one of them" in both.stderr


def test_files_are_what_grafana_reads_at_its_start(tmp_path: Path):
    """`write`: dashboards, and provisioning that names their folder."""
    result = CliRunner().invoke(main, ["dashboards", "write", str(tmp_path)])
    assert result.exit_code == 0, result.output
    made = {board.name for board in BOARDS}
    assert {path.stem for path in (tmp_path / "dashboards").glob("*.json")} == made
    provider = yaml.safe_load((tmp_path / "provisioning/dashboards/crosspane.yaml").read_text())
    assert provider["providers"][0]["options"]["path"] == str(tmp_path.resolve() / "dashboards")
    rules = yaml.safe_load((tmp_path / "provisioning/alerting/rules.yaml").read_text())
    assert {rule["uid"] for rule in rules["groups"][0]["rules"]} >= {
        "crosspane-edge-errors", "crosspane-gateway-unhealthy", "crosspane-plaintext-edge",
        "crosspane-denials-spike", "crosspane-source-stale", "crosspane-address-overlap",
        "crosspane-p95-regression", "crosspane-completeness-low",
    }  # fmt: skip
    assert (
        "FROM edges_between($__timeFrom(), $__timeTo())"
        in (rules["groups"][0]["rules"][0]["data"][0]["model"]["rawSql"])
    )


def test_dashboards_are_listed():
    """For people and for programs."""
    rows = json.loads(CliRunner().invoke(main, ["dashboards", "list", "-f", "json"]).stdout)
    assert [row["uid"] for row in rows] == [board.uid for board in BOARDS]
    assert "crosspane-overview" in CliRunner().invoke(main, ["dashboards", "list"]).stdout
