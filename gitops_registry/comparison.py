"""Two versions side by side: what differs, and by how much."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from gitops_registry.errors import NotFound
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.parts import plain
from gitops_registry.reference import Reference, split_reference
from gitops_registry.snapshot import Snapshot

Section = Literal["facts", "metrics", "params", "signature", "environment", "artifacts"]
_LOWER_IS_BETTER = frozenset(
    {"false", "mae", "rmse", "mse", "mape", "smape", "msle", "rmsle", "loss", "logloss", "nll", "error", "errors", "brier", "latency", "fpr",
     "fnr", "wer", "cer", "eer", "ece", "perplexity", "deviance", "divergence"}
)  # fmt: skip
_HIGHER_IS_BETTER = frozenset(
    {"accuracy", "precision", "recall", "f1", "auc", "r2", "specificity", "sensitivity", "kappa", "mcc", "true"}
)


@dataclass(frozen=True)
class Row:
    """One line of a comparison. `difference` and `percent` (of the left value) only where both sides are numbers."""

    section: Section
    name: str
    left: Any
    right: Any
    difference: float | None = None
    percent: float | None = None

    @property
    def is_same(self) -> bool:
        """Whether both sides are equal."""
        return bool(self.left == self.right)

    @property
    def verdict(self) -> Literal["better", "worse", ""]:
        """Whether the right side of a metric is better or worse, by what its name means; empty where that is not known."""
        if self.section != "metrics" or not self.difference:
            return ""
        lower = is_lower_better(self.name)
        if lower is None:
            return ""
        return "better" if (self.difference < 0) == lower else "worse"

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-ready data."""
        return {
            "section": self.section,
            "name": self.name,
            "left": self.left,
            "right": self.right,
            "difference": self.difference,
            "percent": self.percent,
            "verdict": self.verdict or None,
        }


def is_lower_better(metric: str) -> bool | None:
    """Say whether less of a metric is better, by what its name means; None where that is not known."""
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    lower = bool(words & _LOWER_IS_BETTER)
    return lower if lower or words & _HIGHER_IS_BETTER else None


def champion(snapshot: Snapshot, name: str) -> Reference:
    """Return the version that others are measured by: the alias `champion`, else the newest that serves.

    Raises NotFound where there is neither.
    """
    model = snapshot.known_model(name)
    serving = [stage.name for stage in reversed(snapshot.constitution.stages) if stage.serving]
    held = [number for stage in serving for number in snapshot.in_stage(name, stage)[-1:]]
    number = model.aliases.get("champion") or next(iter(held), None)
    if number is None:
        raise NotFound(
            f"{name} has no champion: no version serves, and none has that alias", hint=_two_of(snapshot, name)
        )
    return Reference(name, number)


def challenger(snapshot: Snapshot, name: str) -> Reference:
    """Return the version that would replace the champion: the alias `challenger`, else the newest in a stage before it.

    Where nothing waits in such a stage it is the newest version of all. Raises NotFound where that is the champion itself.
    """
    best = champion(snapshot, name)
    model, constitution = snapshot.known_model(name), snapshot.constitution
    serving = [stage for stage in constitution.stages if stage.serving]
    before = {origin for stage in serving for origin in stage.from_ or ()} - {stage.replaced_to for stage in serving}
    waiting = [number for stage in before for number in snapshot.in_stage(name, stage)]
    newest = [number for number in (*waiting, *snapshot.versions(name)[-1:]) if number != best.number]
    number = model.aliases.get("challenger") or (max(waiting) if waiting else next(iter(newest), None))
    if number is None or number == best.number:
        raise NotFound(
            f"{name} has no challenger of {best}: nothing newer waits, and no version has that alias",
            hint=_two_of(snapshot, name),
        )
    return Reference(name, number)


def _two_of(snapshot: Snapshot, name: str) -> str:
    """Return a hint: how two versions are named that are there."""
    numbers = snapshot.versions(name)[-2:]
    if len(numbers) < 2:
        return f"register another version of it first: gitops-registry register {name} FILE"
    return f"name two versions: gitops-registry compare {name} {numbers[0]} {numbers[1]}"


@dataclass(frozen=True)
class Compared:
    """Two versions and every line of their comparison."""

    left: Reference
    right: Reference
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {"left": str(self.left), "right": str(self.right), "rows": [row.to_json() for row in self.rows]}


def compared(snapshot: Snapshot, left: str, right: str = "") -> Compared:
    """Return what two references have in common and not; of one, with its model's champion; of a bare name, champion
    and challenger. Raises NotFound.
    """
    name, wanted = split_reference(left)
    name = snapshot.present_name(name)
    if right:
        one, other = snapshot.resolve(left), snapshot.resolve(right)
    elif wanted:
        one, other = champion(snapshot, name), snapshot.resolve(left)
    else:
        one, other = champion(snapshot, name), challenger(snapshot, name)
    return Compared(one, other, tuple(compare(snapshot.known_version(one), snapshot.known_version(other))))


_LARGEST = 1e100
"""Numbers beyond it are shown and not subtracted: floats end somewhere, and nobody compares what is there."""


def compare(left: Version, right: Version) -> list[Row]:
    """Return all lines of the comparison, sections in a fixed order, names in the order of the left side, then the right's."""
    one, other = plain(left), plain(right)
    rows = [*_rows("facts", _facts(one), _facts(other))]
    rows += _rows("metrics", one["metrics"], other["metrics"])
    rows += _rows("params", one["params"], other["params"])
    rows += _rows("signature", _columns(one), _columns(other))
    rows += _rows("environment", _environment(one), _environment(other))
    rows += _rows("artifacts", _artifacts(one), _artifacts(other))
    return rows


def _rows(section: Section, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys((*left, *right)):
        one, other = left.get(name), right.get(name)
        if one is not None and other is not None and _is_number(one) and _is_number(other):
            difference = round(other - one, 12)
            percent = None if one == 0 else 100 * difference / abs(one)
            percent = (
                percent if percent is not None and isfinite(percent) else None
            )  # of next to nothing it is no number
            yield Row(section, name, one, other, difference, percent)
        else:
            yield Row(section, name, one, other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _facts(version: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: version[key] for key in ("release", "created", "task", "model_type")}
    framework = version["framework"]
    facts["framework"] = f"{framework['name']} {framework['version']}".strip() if framework else None
    facts["evaluated on"] = (version["evaluation"] or {}).get("dataset") or None
    facts["evaluation rows"] = (version["evaluation"] or {}).get("rows")
    return {key: value for key, value in facts.items() if value is not None}


def _columns(version: Mapping[str, Any]) -> dict[str, Any]:
    signature = version["signature"] or {"inputs": [], "outputs": []}
    inputs = {f"input {column['name']}": _column(column) for column in signature["inputs"]}
    return inputs | {f"output {column['name']}": _column(column) for column in signature["outputs"]}


def _column(column: Mapping[str, Any]) -> str:
    shape = f" {column['shape']}" if column["shape"] else ""
    return f"{column['type']}{shape}{'' if column['required'] else ', optional'}"


def _environment(version: Mapping[str, Any]) -> dict[str, Any]:
    environment = version["environment"]
    if not environment:
        return {}
    pinned = dict(requirement.split("==", 1) for requirement in environment["requirements"] if "==" in requirement)
    return {"python": environment["python"], "platform": environment["platform"], **pinned}


def _artifacts(version: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for artifact in version["artifacts"]:
        found[f"{artifact['name']} format"] = artifact["format"]
        found[f"{artifact['name']} bytes"] = artifact["size"]
        found[f"{artifact['name']} sha256"] = artifact["sha256"][:12]
    return found
