"""Which charts stand on which page, and the rows that they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from gitops_registry.card.escaping import told as written
from gitops_registry.drawing import Picture

_METRICS = 12
_GROUPS = 30
_LABELS = 25
_POINTS = 2_000
_LONGEST = 60
_MOST_COUNTED = 2**53
"""What a program that draws counts to; what is larger stands in the table alone."""
_FORMATS = ("size", "save_ms", "load_ms", "predict_1_ms", "predict_100_ms")


def confusion(matrix: Mapping[str, Any] | None, words: Mapping[str, str]) -> Picture | None:
    """Return the confusion matrix; None where there is none, or one with more classes or larger counts than can be read."""
    if not matrix or len(matrix["labels"]) > _LABELS or not all(map(_is_count, chain(*matrix["counts"]))):
        return None
    labels = _distinct(matrix["labels"])
    rows = [
        {"true": labels[i], "predicted": labels[j], "count": count, "share": count / sum(line) if sum(line) else 0.0}
        for i, line in enumerate(matrix["counts"])
        for j, count in enumerate(line)
    ]
    right = sum(line[i] for i, line in enumerate(matrix["counts"]))
    total = sum(map(sum, matrix["counts"]))
    return Picture("confusion", rows, words["told_confusion"].format(right, total)) if rows else None


def metrics(
    own: Mapping[str, float], label: str, others: Mapping[str, float] | None, other_label: str, words: Mapping[str, str]
) -> Picture | None:
    """Return a version's metrics beside those of the champion (alone without one); of those between 0 and 1.

    Others have scales of their own, and stand in the table.
    """
    names = [name for name, value in own.items() if 0 <= value <= 1 and _is_share((others or {}).get(name))][:_METRICS]
    rows = [
        {"metric": shown, "version": version, "value": values[name]}
        for name, shown in zip(names, _distinct(names), strict=True)
        for version, values in ((label, own), (other_label, others or {}))
        if name in values
    ]
    told = words["told_metrics"].format(", ".join(f"{_short(name)} {own[name]:.4g}" for name in names))
    return Picture("metrics", rows, told) if rows else None


def _is_share(value: float | None) -> bool:
    return value is None or 0 <= value <= 1


def history(versions: Sequence[Any], metric: str, words: Mapping[str, str]) -> Picture | None:
    """Return one metric over the versions that have it; None for fewer than two."""
    rows = [
        {"version": one.reference.number, "value": one.metrics[metric], "stage": one.stage}
        for one in versions
        if metric in one.metrics
    ][-_POINTS:]
    if len(rows) < 2:
        return None
    told = words["told_history"].format(
        _short(metric), rows[0]["value"], rows[0]["version"], rows[-1]["value"], rows[-1]["version"]
    )
    return Picture("history", rows, told)


def slices(part: Mapping[str, Any], words: Mapping[str, str]) -> Picture | None:
    """Return the first metrics by group of one column."""
    names = list(dict.fromkeys(name for group in part["groups"] for name in group["metrics"]))[:6]
    groups = part["groups"][:_GROUPS]
    labels = _distinct([words["none"] if group["value"] is None else group["value"] for group in groups])
    rows = [
        {"metric": shown, "rows": group["rows"], "value": group["metrics"][name], "group": label}
        for name, shown in zip(names, _distinct(names), strict=True)
        for group, label in zip(groups, labels, strict=True)
        if name in group["metrics"] and _is_count(group["rows"])
    ]
    return Picture("slices", rows, words["told_slices"].format(_short(part["column"]))) if rows else None


def formats(figures: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> Picture | None:
    """Return the comparison of formats: bytes, and milliseconds of saving, loading and predicting."""
    labels = _distinct([one["format"] for one in figures])
    rows = [
        {"format": label, "measure": words[f"format_{name}"], "value": one[name]}
        for name in _FORMATS
        for one, label in zip(figures, labels, strict=True)
        if one[name] is not None and one[name] <= _MOST_COUNTED
    ]
    return Picture("formats", rows, words["told_formats"]) if rows else None


def trend(values: Sequence[float]) -> str:
    """Return the points of a line that shows how a value went, in a box of 100 × 24; empty for fewer than two."""
    values = values[-50:]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    step, span = 96 / (len(values) - 1), (high / 2 - low / 2) or 1.0  # halves: the largest numbers are no further apart
    return " ".join(
        f"{2 + i * step:.1f},{21 - 18 * ((value / 2 - low / 2) / span):.1f}" for i, value in enumerate(values)
    )


def _is_count(value: int) -> bool:
    return 0 <= value <= _MOST_COUNTED


def _distinct(values: Sequence[Any]) -> list[str]:
    """Return values as labels that differ where the values do: a chart takes what has one label for one thing, and adds it up."""
    found: dict[str, None] = {}
    for value in values:
        text = label = _short(value)
        count = 1
        while label in found:
            count += 1
            label = f"{text} ({count})"
        found[label] = None
    return list(found)


def _short(value: Any) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in written(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
