"""What is lost of a column where a system has no word for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gitops_registry.manifest.columns import Column

Feature = Literal["optional", "nullable", "range", "categories", "dtype"]


def losses(columns: Iterable[Column], *, but: frozenset[Feature] = frozenset()) -> list[str]:
    """Return a note for each column of which something is not said; what is said stands in `but`."""
    notes = []
    for column in columns:
        lost = [told for feature, told in _features(column).items() if feature not in but]
        if lost:
            notes.append(f"{column.name}: not said: {', '.join(lost)}")
    return notes


def _features(column: Column) -> dict[Feature, str]:
    found: dict[Feature, str] = {}
    if not column.required:
        found["optional"] = "it may be left out"
    if column.may_be_missing:
        found["nullable"] = "its values may be missing"
    if column.minimum is not None:
        found["range"] = f"at least {column.minimum}"
    if column.maximum is not None:
        told = f"at most {column.maximum}"
        found["range"] = f"{found['range']} and {told}" if "range" in found else told
    if column.categories is not None:
        found["categories"] = f"its categories ({len(column.categories)})"
    if column.dtype is not None:
        found["dtype"] = f"exactly {column.dtype}"
    return found


def is_tensor(column: Column) -> bool:
    """Whether a column holds more than one value for each row, or says of how many rows it must be."""
    return column.shape is not None and column.shape != (-1,)
