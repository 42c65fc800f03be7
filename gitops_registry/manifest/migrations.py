"""Manifests of older schema versions, as they would be written now.

Every version that was ever written is read for ever: what is immutable is never rewritten, and git history is full of
the rest. A step takes the plain data of one version to the next; `migrate` writes what the steps say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Step = Callable[[dict[str, Any]], dict[str, Any]]


def _model_2(old: dict[str, Any]) -> dict[str, Any]:
    """Version 2 of `Model` knows evaluation data and tombstones (`renamed_to`, `removed`); what version 1 says it says too."""
    return old


def _registry_2(old: dict[str, Any]) -> dict[str, Any]:
    """Version 2 of `Registry` leaves what a stage asks for to policies: `minimum_metrics` is gone from it.

    So nothing speaks for a stage that had them until a policy does, and it refuses; `migrate` writes that policy.
    """
    stages = old.get("stages")
    if not isinstance(stages, list):
        return old
    kept = [
        {key: value for key, value in stage.items() if key != "minimum_metrics"} if isinstance(stage, dict) else stage
        for stage in stages
    ]
    return {**old, "stages": kept}


STEPS: Mapping[tuple[str, int], Step] = {("Model", 1): _model_2, ("Registry", 1): _registry_2}
"""(kind, schema version) → what brings its data to the next version."""


_GONE: Mapping[str, tuple[str, ...]] = {"Registry": ("minimum_metrics",)}
"""Kind → keys that an older version of it had."""


def without_gone(text: bytes, kind: str) -> bytes:
    """Return a file without the blocks of keys that its kind has no more; every other byte stays as people wrote it."""
    kept: list[bytes] = []
    inside: int | None = None
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(b" "))
        if inside is not None and (indent > inside or not line.strip()):
            continue
        inside = indent if line.strip().split(b":")[0].decode(errors="replace") in _GONE.get(kind, ()) else None
        if inside is None:
            kept.append(line)
    return b"".join(kept)


def upgraded(kind: str, data: dict[str, Any], current: int) -> tuple[dict[str, Any], int] | None:
    """Return data of an older version as the current one has it, and the version it was written for.

    None where no steps lead there: it is of a newer version, or of one that never was.
    """
    written = data.get("schema_version")
    if type(written) is not int or not 0 < written <= current:
        return None
    for version in range(written, current):
        step = STEPS.get((kind, version))
        if step is None:
            return None
        data = {**step(data), "schema_version": version + 1}
    return data, written
