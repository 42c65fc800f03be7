"""Errors that a user can act on: one line that says what is wrong, and a hint with the next step.

Every error this package raises on purpose is a `RegistryError`. A subclass exists only where a caller
would branch on it. Anything else that escapes is a bug of ours and is reported as one (exit code 3).
"""

from __future__ import annotations


class RegistryError(Exception):
    """What could not be done, in one line, and in `hint` what to type or change next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # so that a traceback of Python's shows it too

    def __str__(self) -> str:
        return self.message


class NotFound(RegistryError):
    """A model, version, stage, alias, revision or branch that does not exist here."""


class Conflict(RegistryError):
    """Somebody else changed the same thing meanwhile; nothing was written."""


class Moved(Conflict):
    """A branch that is somewhere else by now; the same change may be made again on what it holds."""


class ManifestError(RegistryError):
    """A file of the registry that cannot be accepted; the message starts with `file:line:column`.

    `line` and `column` count from 1 and are 1 where the whole file is meant.
    """

    def __init__(self, problem: str, *, path: str, line: int = 1, column: int = 1, hint: str = "") -> None:
        super().__init__(f"{path}:{line}:{column}: {problem}", hint=hint)
        self.problem = problem
        self.path = path
        self.line = line
        self.column = column


class Damaged(RegistryError):
    """Stored bytes that are missing or are not the bytes that were registered."""
