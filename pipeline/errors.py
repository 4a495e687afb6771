"""
Every exception a user can meet, in one tree.

    CrosspaneError
        LakeError         the lake cannot be opened, read or written
            StaleOffsetError  another job has committed these offsets: this one must stop
        ServeError        a statement is refused, wrong, or cut at a limit; has an SQLSTATE
        UsageError        what was asked for makes no sense; exit code 2
            InventoryError    a row of the inventory; exit code 2
            FormatError       a declared format of access logs; exit code 2
    collectors.config.ConfigError   a key of the configuration; exit code 2
    collectors.log.LogError         the log cannot be used
    collectors.errors.InputError    an input cannot be opened

What is wrong with a payload is never an exception: it is a row of ``rejects``.
"""


class CrosspaneError(Exception):
    """Base of what crosspane raises on purpose; its message is for the user."""


class LakeError(CrosspaneError):
    """The lake cannot be opened, read or written."""


class StaleOffsetError(LakeError):
    """
    The offsets in the lake are not those this job left there.

    Another job has taken the partition. Nothing of this transaction was kept.
    """


class ServeError(CrosspaneError):
    """
    A statement, or a client, is refused, wrong, or cut at a limit.

    Attributes
    ----------
    sqlstate
        Five characters of the PostgreSQL manual, appendix A, that programs decide by.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class UsageError(CrosspaneError):
    """What was asked for makes no sense: says what is allowed."""


class InventoryError(UsageError):
    """The inventory cannot be used: names the row, the key, and what is allowed."""


class FormatError(UsageError):
    """A declared format of access logs cannot be used: says which part of it, and why."""
