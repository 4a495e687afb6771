"""
A statement with its values, and the rows of it that were not taken yet.

Before: values.py. After: session.py.
Source: PostgreSQL 15 manual, 55.2.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from pipeline.errors import ServeError
from pipeline.serve.engine import Rows, Session, Statement
from pipeline.serve.pgwire import parameters, types
from pipeline.serve.pgwire.codec import Field, Wire
from pipeline.serve.pgwire.rows import data_rows
from pipeline.serve.pgwire.types import Sent
from pipeline.serve.pgwire.words import Said

_FORMATS: Final = {0: False, 1: True}


@dataclass(slots=True)
class Prepared:
    """
    What Parse made.

    Attributes
    ----------
    said
        An answer without the lake, if it is that.
    statement
        One for the lake, if it is that; neither for a text that is empty.
    oids
        Types of its parameters.
    columns
        Of its result; none until they are asked for.
    """

    said: Said | None = None
    statement: Statement | None = None
    oids: Sequence[int] = ()
    columns: Sequence[Sent] | None = None

    def described(self, session: Session) -> Sequence[Sent]:
        """Columns of its result; for what is answered without the lake, none."""
        if self.columns is None and self.statement:
            shape = parameters.cast(self.statement.text, self.oids, known=False)
            found = session.describe(self.statement.said(shape))
            self.columns = [types.sent(column) for column in found]
        return self.columns or ()


@dataclass(slots=True)
class Portal:
    """
    What Bind made.

    Attributes
    ----------
    prepared
        Of what.
    values
        Of its parameters, ``"1"`` for ``$1``.
    formats
        Of its columns, as Bind gave them.
    """

    prepared: Prepared
    values: Mapping[str, Any] = field(default_factory=dict)
    formats: Sequence[int] = ()
    sent: int = 0
    done: bool = False
    _columns: Sequence[Sent] = ()
    _batches: Rows | None = None
    _rest: pa.RecordBatch | None = None

    def binary(self, columns: Sequence[Sent]) -> list[bool]:
        """
        Whether each column is wanted as bytes.

        Raises
        ------
        ServeError
            08P01 for formats there are not, or not as many as columns.
        """
        if any(code not in _FORMATS for code in self.formats):
            raise ServeError("08P01", "a format is 0 or 1")
        if len(self.formats) > 1 and len(self.formats) != len(columns):
            raise ServeError(
                "08P01", f"{len(self.formats)} formats for {len(columns)} columns of the result"
            )
        if len(self.formats) == 1:
            return [_FORMATS[self.formats[0]]] * len(columns)
        return [_FORMATS[code] for code in self.formats] or [False] * len(columns)

    def fields(self, session: Session) -> list[Field]:
        """Columns of its rows, for the client."""
        columns = self.prepared.described(session)
        return fields(columns, self.binary(columns))

    def start(self, session: Session) -> None:
        """Run it, if it does not run yet."""
        if self._batches is not None or self.prepared.statement is None:
            return
        columns = self.prepared.described(session)
        statement, oids = self.prepared.statement, self.prepared.oids
        text = types.wanted(statement.text, columns, self.binary(columns))
        result = session.run(statement.said(parameters.cast(text, oids, known=True)), self.values)
        self._columns, self._batches = columns, result.rows

    def send(self, wire: Wire, most: int, formats: Sequence[bool] | None = None) -> int:
        """
        Write rows that were not taken yet.

        Parameters
        ----------
        wire
            To where.
        most
            So many at most; 0: all.
        formats
            Other formats than the portal's.

        Returns
        -------
        int
            How many; the portal is done if there are no more.
        """
        batches = self._batches
        if self.done or batches is None:
            return 0
        binary = self.binary(self._columns) if formats is None else formats
        count = 0
        while not most or count < most:
            batch = self._rest or next(batches, None)
            self._rest = None
            if batch is None:
                self.done = True
                break
            if most and batch.num_rows > most - count:
                left = most - count
                self._rest, batch = batch.slice(left), batch.slice(0, left)
            wire.put_bytes(data_rows(batch, self._columns, binary))
            count += batch.num_rows
        if most and not self.done and self._rest is None:
            self._rest = next(batches, None)  # whether it is done shows only now
            self.done = self._rest is None
        self.sent += count
        return count

    def close(self) -> None:
        """Let go of the lake."""
        self.done = True
        if self._batches is not None:
            self._batches.close()
        self._batches = self._rest = None


def fields(columns: Sequence[Sent], binary: Sequence[bool]) -> list[Field]:
    """Columns as a row description has them."""
    return [
        Field(column.name, column.oid, column.bytes, column.modifier, as_bytes)
        for column, as_bytes in zip(columns, binary, strict=True)
    ]
