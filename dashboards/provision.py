"""
Bring a running Grafana to what is written here, over its API.

What is there is read first; only what differs is written, so a second time
nothing is. Grafana adds to what it is given (ids, versions, defaults): only
what we say is compared. A password cannot be read back, and is not.

Before: provisioning.py, boards/. After: pipeline/cli/dashboards.py.
Source: Grafana's HTTP API; grafana-client 5.1.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import niquests.exceptions
from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards.boards import BOARDS
from dashboards.build.alerts import FOLDER, GROUP
from dashboards.build.fields import Json
from dashboards.provisioning import CONTACT, contact_point, rule_group

__all__ = ["Change", "ProvisionError", "changes", "connect"]

_TIMEOUT_S: Final = 30.0
_NOT_FOUND: Final = 404
_HIDDEN: Final = "[REDACTED]"
"""What Grafana answers for a setting that is a secret."""
_SECRET: Final = "secureJsonData"  # noqa: S105 - the name of a key


class ProvisionError(Exception):
    """Grafana cannot be reached, or refused something; says what."""


@dataclass(frozen=True)
class Change:
    """
    One thing in Grafana, and what is to be done about it.

    Parameters
    ----------
    action
        ``create``, ``update``, or ``same``: it is as it should be.
    diff
        Lines of a unified diff from what is there to what should be.
    """

    kind: str
    name: str
    action: Literal["create", "update", "same"]
    diff: tuple[str, ...]
    write: Callable[[], Any]

    def apply(self) -> None:
        """Write it."""
        with_errors(self.write, f"{self.kind} {self.name}")


def connect(url: str, credential: str | tuple[str, str] | None) -> Any:
    """
    Connect to a Grafana.

    Parameters
    ----------
    credential
        A service account's token, or a user and a password.

    Raises
    ------
    ProvisionError
        It does not answer.
    """
    api = GrafanaApi.from_url(url.rstrip("/") + "/", credential, timeout=_TIMEOUT_S)
    with_errors(api.health.check, url)
    return api


def changes(
    api: Any, *, datasource: Json, alert_url: str | None, force: bool = False
) -> Iterator[Change]:
    """
    Compare what is there with what should be: folder, data source, dashboards, alerts.

    Parameters
    ----------
    alert_url
        Where the contact point posts to; None: there is none of ours, and
        Grafana's own policies decide who is told.
    force
        What is the same counts as changed: a password may have.
    """
    compare = _Comparison(force)
    yield compare.thing(
        "folder",
        FOLDER,
        {"title": FOLDER, "uid": FOLDER},
        _found(lambda: api.folder.get_folder(FOLDER)),
        create=lambda: api.folder.create_folder(FOLDER, FOLDER),
        update=lambda: api.folder.update_folder(FOLDER, FOLDER, overwrite=True),
    )
    uid = datasource["uid"]
    yield compare.thing(
        "data source",
        uid,
        datasource,
        _found(lambda: api.datasource.get_datasource_by_uid(uid)),
        create=lambda: api.datasource.create_datasource(datasource),
        update=lambda: api.datasource.update_datasource_by_uid(uid, datasource),
    )
    for board in BOARDS:
        yield _dashboard(api, compare, board.uid, board.json())
    if alert_url:
        yield _contact(api, compare, contact_point(alert_url))
    rules = rule_group(CONTACT if alert_url else None)
    put = partial(api.alertingprovisioning.update_rule_group, FOLDER, GROUP, rules)
    yield compare.thing(
        "alert rules",
        GROUP,
        rules,
        _found(lambda: api.alertingprovisioning.get_rule_group(FOLDER, GROUP)),
        create=put,
        update=put,
    )


def _dashboard(api: Any, compare: "_Comparison", uid: str, wanted: Json) -> Change:
    found = _found(lambda: api.dashboard.get_dashboard(uid))
    document = {
        "dashboard": wanted,
        "folderUid": FOLDER,
        "overwrite": True,
        "message": "crosspane dashboards provision",
    }
    put = partial(api.dashboard.update_dashboard, document)
    placed = {"dashboard": wanted, "meta": {"folderUid": FOLDER}}
    return compare.thing("dashboard", uid, placed, found, create=put, update=put)


def _contact(api: Any, compare: "_Comparison", wanted: Json) -> Change:
    there = _found(lambda: api.alertingprovisioning.get_contactpoints(CONTACT)) or []
    return compare.thing(
        "contact point",
        CONTACT,
        wanted,
        next((point for point in there if point["uid"] == CONTACT), None),
        create=lambda: api.alertingprovisioning.create_contactpoint(wanted),
        update=lambda: api.alertingprovisioning.update_contactpoint(CONTACT, wanted),
    )


@dataclass(frozen=True)
class _Comparison:
    force: bool

    def thing(
        self,
        kind: str,
        name: str,
        wanted: Json,
        found: Any,
        *,
        create: Callable[[], Any],
        update: Callable[[], Any],
    ) -> Change:
        """Make the change of one thing; `found` is None where there is none."""
        said = {key: value for key, value in wanted.items() if key != _SECRET}
        if found is None:
            return Change(kind, name, "create", _diff(name, None, said), create)
        kept = _said(found, said)
        if kept == said and not self.force:
            return Change(kind, name, "same", (), lambda: None)
        return Change(kind, name, "update", _diff(name, kept, said), update)


def _said(found: Any, wanted: Any) -> Any:
    """What is there of what we say: nothing that Grafana adds."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {key: _said(found[key], inner) for key, inner in wanted.items() if key in found}
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [_said(one, other) for one, other in zip(found, wanted, strict=True)]
    return wanted if found == _HIDDEN else found


def _diff(name: str, found: Json | None, wanted: Json) -> tuple[str, ...]:
    before, after = (
        [] if document is None else json.dumps(document, indent=2, ensure_ascii=False).splitlines()
        for document in (found, wanted)
    )
    return tuple(
        difflib.unified_diff(before, after, f"{name} (there)", f"{name} (here)", lineterm="")
    )


def _found(get: Callable[[], Any]) -> Any:
    """What a GET answers; None where there is nothing of that name."""
    try:
        return with_errors(get, "reading")
    except ProvisionError as error:
        cause = error.__cause__
        if isinstance(cause, GrafanaClientError) and cause.status_code == _NOT_FOUND:
            return None
        raise


def with_errors(call: Callable[[], Any], what: str) -> Any:
    """Call Grafana; whatever goes wrong is a `ProvisionError`."""
    try:
        return call()
    except GrafanaException as error:
        raise ProvisionError(f"{what}: Grafana says: {error.message}") from error
    except (niquests.exceptions.RequestException, ValueError) as error:
        raise ProvisionError(f"{what}: no Grafana answers: {error}") from error
