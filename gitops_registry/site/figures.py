"""Which charts stand on which page, and the rows that they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitops_registry.drawing import Picture

_METRICS = 12
_GROUPS = 30
_LABELS = 25
_POINTS = 2_000
_LONGEST = 60
_FORMATS = ("size", "save_ms", "load_ms", "predict_1_ms", "predict_100_ms")


def confusion(matrix: Mapping[str, Any] | None, words: Mapping[str, str]) -> Picture | None:
    """Return the confusion matrix; None where there is none, or one with more classes than can be read."""
    if not matrix or len(matrix["labels"]) > _LABELS:
        return None
    labels = [_short(label) for label in matrix["labels"]]
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
    rows = [{"metric": _short(name), "version": label, "value": own[name]} for name in names]
    if others:
        rows += [
            {"metric": _short(name), "version": other_label, "value": others[name]} for name in names if name in others
        ]
    rows.sort(key=lambda row: [_short(name) for name in names].index(str(row["metric"])))
    told = words["told_metrics"].format(", ".join(f"{name} {own[name]:.4g}" for name in names))
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
    rows = [
        {
            "metric": _short(name), "rows": group["rows"], "value": group["metrics"][name],
            "group": words["none"] if group["value"] is None else _short(group["value"]),
        }
        for name in names
        for group in part["groups"][:_GROUPS]
        if name in group["metrics"]
    ]  # fmt: skip
    return Picture("slices", rows, words["told_slices"].format(_short(part["column"]))) if rows else None


def formats(figures: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> Picture | None:
    """Return the comparison of formats: bytes, and milliseconds of saving, loading and predicting."""
    rows = [
        {"format": _short(one["format"]), "measure": words[f"format_{name}"], "value": one[name]}
        for name in _FORMATS
        for one in figures
        if one[name] is not None
    ]
    return Picture("formats", rows, words["told_formats"]) if rows else None


def trend(values: Sequence[float]) -> str:
    """Return the points of a line that shows how a value went, in a box of 100 × 24; empty for fewer than two."""
    values = values[-50:]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    step, span = 96 / (len(values) - 1), (high - low) or 1.0
    return " ".join(f"{2 + i * step:.1f},{21 - 18 * (value - low) / span:.1f}" for i, value in enumerate(values))


def _short(value: Any) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
