"""One way in which data does not fit a signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "missing", "unexpected", "reordered", "duplicate", "type", "null", "infinite", "range", "category", "shape", "rows"
]  # fmt: skip
FIRST_ROWS = 5


@dataclass(frozen=True)
class Misfit:
    """What does not fit, in one sentence. `column` is empty where the data as a whole is meant.

    `count` rows have it and `rows` are the first five of them, as positions from 0; 0 and none where no row is meant. A
    warning does no harm to a prediction, which takes the columns by their names.
    """

    kind: Kind
    column: str
    message: str
    count: int = 0
    rows: tuple[int, ...] = ()
    severity: Literal["error", "warning"] = "error"

    @property
    def is_error(self) -> bool:
        """Whether the data must not be given to the model."""
        return self.severity == "error"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "column": self.column or None,
            "message": self.message,
            "count": self.count,
            "rows": list(self.rows),
        }


def in_rows(kind: Kind, column: str, message: str, rows: Any) -> Misfit:
    """Return what is wrong in some rows, whose positions are an ascending array."""
    return Misfit(kind, column, message, len(rows), tuple(int(row) for row in rows[:FIRST_ROWS]))
