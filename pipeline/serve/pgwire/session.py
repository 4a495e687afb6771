"""
One client that is let in: what it asks, what it is answered.

    simple      a text of statements, each with its rows, as text
    extended    Parse, Bind, Describe, Execute, Sync: values apart from the
                statement, rows as many as are wanted, as text or bytes

After an error the rest is skipped: of the text, or until Sync. Whoever reads
its rows slowly makes the statement wait, for nothing is kept for it but a
batch; and its time runs on (`limits`).

Before: login.py. After: engine.py.
Source: PostgreSQL 15 manual, 55.2.
"""

from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import ServeError
from pipeline.serve.engine import Session
from pipeline.serve.pgwire import codec, parameters, types, values, words
from pipeline.serve.pgwire.codec import Wire
from pipeline.serve.pgwire.portals import Portal, Prepared
from pipeline.serve.refusals import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT: Final = 500
"""Prepared statements, and portals, a client may have at a time."""
_PROTOCOL: Final = "08P01"
_FAILED: Final = "25P02"
_IDLE, _OPEN, _BROKEN = "I", "T", "E"


class Conversation:
    """
    A client's session.

    Parameters
    ----------
    wire
        Its messages.
    session
        What it may ask.
    """

    def __init__(self, wire: Wire, session: Session) -> None:
        self._wire = wire
        self._session = session
        self._most_s = session.max_time_s
        self._status = _IDLE
        self._skips = False
        self._prepared: dict[str, Prepared] = {}
        self._portals: dict[str, Portal] = {}
        self._answers: dict[type, Callable[[Any], None]] = {
            codec.Query: self._query,
            codec.Parse: self._parse,
            codec.Bind: self._bind,
            codec.Describe: self._describe,
            codec.Execute: self._execute,
            codec.Close: self._close,
            codec.Flush: lambda _: self._wire.flush(),
        }

    def run(self) -> None:
        """Answer until the client goes."""
        try:
            self._ready()
            while (message := self._wire.read()) is not None:
                if isinstance(message, codec.Terminate):
                    return
                self._answer(message)
        finally:
            self._forget_portals()

    def _answer(self, message: Any) -> None:
        kind = type(message)
        if kind is codec.Sync:
            self._skips = False
            if self._status == _IDLE:
                self._forget_portals()
            self._ready()
            return
        if self._skips and kind is not codec.Query:
            return
        answer = self._answers.get(kind)
        try:
            if answer is None:
                raise ServeError("0A000", f"{kind.__name__} is not supported here")  # noqa: TRY301
            answer(message)
        except ServeError as error:
            self._failed(error, skips=kind is not codec.Query)
        except (OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - a client must not end the server
            self._failed(
                ServeError(OTHER, f"{type(error).__name__}"), skips=kind is not codec.Query
            )
        if kind is codec.Query:
            if self._status == _IDLE:
                self._forget_portals()
            self._ready()

    def _failed(self, error: ServeError, *, skips: bool) -> None:
        self._wire.put(codec.error(error))
        self._skips = skips
        if self._status == _OPEN:
            self._status = _BROKEN

    def _ready(self) -> None:
        self._wire.put(codec.ready(self._status))
        self._wire.flush()

    # simple

    def _query(self, message: codec.Query) -> None:
        texts = words.split(message.query_string)
        if not texts:
            self._wire.put(codec.EMPTY)
        for text in texts:
            self._portals.pop("", None)
            for prepared in self._made(text, ()):
                portal = Portal(prepared)
                try:
                    self._simple(portal)
                finally:
                    portal.close()

    def _simple(self, portal: Portal) -> None:
        if portal.prepared.said is not None:
            self._said(portal, described=False)
            return
        portal.start(self._session)
        self._wire.put(codec.row_description(portal.fields(self._session)))
        portal.send(self._wire, 0)
        self._wire.put(codec.complete(f"SELECT {portal.sent}"))

    # extended

    def _parse(self, message: codec.Parse) -> None:
        if message.statement and message.statement in self._prepared:
            raise ServeError("42P05", f'prepared statement "{message.statement}" already exists')
        if len(self._prepared) >= _KEPT:
            raise ServeError("53400", f"more than {_KEPT} prepared statements")
        texts = words.split(message.query)
        found = [one for text in texts for one in self._made(text, message.param_types)]
        if len(found) > 1:
            raise ServeError("42601", "cannot insert multiple commands into a prepared statement")
        self._prepared[message.statement] = found[0] if found else Prepared()
        self._wire.put(codec.PARSED)

    def _made(self, text: str, oids: Any) -> list[Prepared]:
        said = words.said(text)
        self._in_failed(said)
        if said is not None:
            number = parameters.count(text) if isinstance(said, words.Declared) else 0
            return [Prepared(said=said, oids=[*oids[:number], *[0] * (number - len(oids))])]
        found = []
        for statement in self._session.statements(text):
            number = max(parameters.count(statement.text), len(oids))
            known = parameters.inferred(statement.tree, oids, number, self._session.relations)
            found.append(Prepared(statement=statement, oids=known))
        return found

    def _in_failed(self, said: words.Said | None) -> None:
        """In a failed transaction nothing is answered but its end."""
        ends = isinstance(said, words.Noted) and (said.ends or said.back)
        if self._status == _BROKEN and not ends:
            raise ServeError(
                _FAILED,
                "current transaction is aborted, commands ignored until end of transaction block",
            )

    def _bind(self, message: codec.Bind) -> None:
        prepared = self._statement(message.statement)
        if message.portal and message.portal in self._portals:
            raise ServeError("42P03", f'portal "{message.portal}" already exists')
        if len(self._portals) >= _KEPT:
            raise ServeError("53400", f"more than {_KEPT} portals")
        self._in_failed(prepared.said)
        sent, oids, formats = message.param_values, prepared.oids, message.param_formats
        if len(sent) != len(oids):
            raise ServeError(
                _PROTOCOL,
                f"bind message supplies {len(sent)} parameters, but prepared statement"
                f' "{message.statement}" requires {len(oids)}',
            )
        if len(formats) > 1 and len(formats) != len(sent):
            raise ServeError(_PROTOCOL, f"{len(formats)} formats for {len(sent)} parameters")
        codes = formats * len(sent) if len(formats) == 1 else formats or [0] * len(sent)
        needed = parameters.used(prepared.statement.text) if prepared.statement else set()
        given = {
            str(i): values.value(value, oid, binary=code == 1)
            for i, (value, oid, code) in enumerate(zip(sent, oids, codes, strict=True), 1)
            if str(i) in needed or isinstance(prepared.said, words.Declared)
        }
        self._forget_portal(message.portal)
        self._portals[message.portal] = Portal(prepared, given, message.result_formats)
        self._wire.put(codec.BOUND)

    def _describe(self, message: codec.Describe) -> None:
        of_statement = message.kind == "S"
        shown = (
            Portal(self._statement(message.name)) if of_statement else self._portal(message.name)
        )
        found = (self._fetched(shown) or shown).fields(self._session)
        if of_statement:
            oids = [oid or types.TEXT_OID for oid in shown.prepared.oids]
            self._wire.put(codec.parameter_description(oids))
        self._wire.put(codec.row_description(found) if found else codec.NO_DATA)

    def _execute(self, message: codec.Execute) -> None:
        portal = self._portal(message.portal)
        self._in_failed(portal.prepared.said)
        if portal.prepared.said is not None:
            self._said(portal, described=True)
            return
        if portal.prepared.statement is None:
            self._wire.put(codec.EMPTY)
            return
        portal.start(self._session)
        count = portal.send(self._wire, message.max_rows)
        self._wire.put(codec.complete(f"SELECT {count}") if portal.done else codec.SUSPENDED)
        if portal.done:
            portal.close()

    def _close(self, message: codec.Close) -> None:
        if message.kind == "S":
            self._prepared.pop(message.name, None)
        else:
            self._forget_portal(message.name)
        self._wire.put(codec.CLOSED)

    # both

    def _said(self, portal: Portal, *, described: bool) -> None:
        """Answer what is answered without the lake."""
        said = portal.prepared.said
        match said:
            case words.Declared():
                self._declare(said, portal)
            case words.Fetched():
                self._fetch(said, portal, described=described)
            case words.Noted():
                self._note(said)

    def _note(self, noted: words.Noted) -> None:
        tag = noted.tag
        if noted.ends and self._status == _BROKEN:
            tag = "ROLLBACK"
        if noted.back and self._status == _IDLE:
            raise ServeError(
                "25P01", "ROLLBACK TO SAVEPOINT can only be used in transaction blocks"
            )
        if noted.begins or noted.back:
            self._status = _OPEN
        if noted.ends:
            self._status = _IDLE
            self._forget_portals()
        self._forget(noted)
        if noted.max_time_s is not None:
            self._session.max_time_s = min(noted.max_time_s or self._most_s, self._most_s)
        if noted.warning:
            self._wire.put(codec.warning("01000", noted.warning))
        self._wire.put(codec.complete(tag))

    def _forget(self, noted: words.Noted) -> None:
        """Prepared statements and cursors that are to go."""
        if noted.forgets == "*":
            self._prepared.clear()
        elif noted.forgets and self._prepared.pop(noted.forgets, None) is None:
            raise ServeError("26000", f'prepared statement "{noted.forgets}" does not exist')
        if noted.closes == "*":
            self._forget_portals()
        elif noted.closes:
            self._cursor(noted.closes)
            self._forget_portal(noted.closes)

    def _declare(self, declared: words.Declared, portal: Portal) -> None:
        if self._status == _IDLE:
            raise ServeError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
        if declared.name in self._portals:
            raise ServeError("42P03", f'cursor "{declared.name}" already exists')
        if len(self._portals) >= _KEPT:
            raise ServeError("53400", f"more than {_KEPT} portals")
        found = self._made(declared.query, portal.prepared.oids)
        if len(found) != 1 or found[0].statement is None:
            raise ServeError("42601", "a cursor is on one query")
        cursor = Portal(found[0], portal.values)
        cursor.start(self._session)
        self._portals[declared.name] = cursor
        self._wire.put(codec.complete("DECLARE CURSOR"))

    def _fetched(self, portal: Portal) -> Portal | None:
        """Cursor whose rows FETCH gives, in the formats it is asked in."""
        said = portal.prepared.said
        if not isinstance(said, words.Fetched):
            return None
        return Portal(self._cursor(said.name).prepared, formats=portal.formats)

    def _fetch(self, fetched: words.Fetched, portal: Portal, *, described: bool) -> None:
        cursor = self._cursor(fetched.name)
        columns = cursor.prepared.described(self._session)
        if not described:
            self._wire.put(codec.row_description(cursor.fields(self._session)))
        # what the cursor's columns were asked for as was text, where it matters
        count = cursor.send(self._wire, fetched.rows, portal.binary(columns))
        self._wire.put(codec.complete(f"FETCH {count}"))

    def _statement(self, name: str) -> Prepared:
        if name not in self._prepared:
            raise ServeError("26000", f'prepared statement "{name}" does not exist')
        return self._prepared[name]

    def _portal(self, name: str) -> Portal:
        if name not in self._portals:
            raise ServeError("34000", f'portal "{name}" does not exist')
        return self._portals[name]

    def _cursor(self, name: str) -> Portal:
        if name not in self._portals:
            raise ServeError("34000", f'cursor "{name}" does not exist')
        return self._portals[name]

    def _forget_portal(self, name: str) -> None:
        if portal := self._portals.pop(name, None):
            portal.close()

    def _forget_portals(self) -> None:
        for name in [*self._portals]:
            self._forget_portal(name)
