"""How one value is shown on a line, and rows of them in columns.

Whatever people wrote comes out as one line that cannot move a cursor or command the service that reads a log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitops_registry.comparison import Row


def plain(value: Any) -> str:
    """Return a value as one line of text: numbers short, nothing that does not print."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".") if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    text = str(value)
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def clean(value: Any) -> str:
    """Return a value as one line of text that cannot move the cursor, nor command the CI service that reads the log."""
    text = plain(value).replace("##[", "## [")
    return repr(text) if text.lstrip().startswith("::") else text


def clipped(text: str, most: int) -> str:
    """Return a text of at most `most` characters; what is left out is shown as `…`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(count: int, noun: str) -> str:
    """Return `1 rule`, `2 rules`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def difference(row: Row) -> str:
    """Return by how much the right side of a row differs, `+0.02 (+2.1 %)`; empty where a side is no number."""
    if row.difference is None:
        return ""
    is_whole = isinstance(row.left, int) and isinstance(row.right, int)
    return (f"{row.difference:+,.0f}" if is_whole else f"{row.difference:+.4g}") + (
        f" ({row.percent:+.1f} %)" if row.percent is not None else ""
    )


def columns(rows: Sequence[Sequence[Any]], *, numbers: Collection[int] = ()) -> list[str]:
    """Return rows of equally many values as lines with columns as wide as they must be on a terminal.

    The columns in `numbers` are set to the right.
    """
    from rich.cells import cell_len

    text = [[clean(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*text, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = []
        for i, value in enumerate(row):
            gap = " " * (widths[i] - cell_len(value))
            cells.append(gap + value if i in numbers else value + gap)
        return "  ".join(cells).rstrip()

    return [line(row) for row in text]


def json_text(data: Any, *, ascii_only: bool = False) -> str:
    """Return data as JSON that stays readable in any language and cannot move the cursor."""
    text = json.dumps(data, indent=2, ensure_ascii=ascii_only, default=str)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)
