"""What a version's author said it is worth, beside what was measured: which of both can be compared, and when they differ.

A metric of a version is either measured when it was registered, on rows that are named by digest, or claimed: somebody gave
its value. A claim about other rows cannot be compared; one about no rows at all is compared with what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitops_registry.manifest.facts import Evaluation, EvaluationData, Version
from gitops_registry.manifest.figures import Group, Slice

_EXACT = 1e-9
"""How far a metric may be off in the same format and environment: what summing in another order makes."""
_LEAST = 2e-3
_AREA = 1e-3
_RELATIVE = 1e-5
"""How far otherwise: a few labels that flip at ties (also two rows of n), what float32 costs an area, and a mean of errors."""


@dataclass(frozen=True)
class Difference:
    """A metric as it was registered and as it is measured now; `is_far` where rounding does not explain the difference.

    `is_claim`: somebody gave the registered value. `measured` is None where it was not measured this time.
    """

    name: str
    registered: float
    measured: float | None
    is_far: bool
    is_claim: bool = False

    @property
    def told(self) -> str:
        """The difference as a sentence."""
        how = "claimed" if self.is_claim else "registered"
        value = "nothing" if self.measured is None else f"{self.measured:.6g}"
        return f"{self.name} is {how} as {self.registered:.6g} and measured as {value}"


def differences(
    version: Version, data: EvaluationData, metrics: Mapping[str, float], *, is_exact: bool = False
) -> tuple[Difference, ...]:
    """Return the version's metrics beside those measured on `data`, in the version's order; those that can be compared.

    `is_exact`: it was measured from the registered file itself in an environment that is the registered one.
    """
    own = version.evaluation
    is_known = own is not None and own.sha256 is not None
    is_same = own is not None and is_known and (own.sha256, own.target) == (data.sha256, data.target)
    found = []
    for name, value in version.metrics.items():
        is_claim = name in version.claimed
        if is_claim and (name not in metrics or (is_known and not is_same)):
            continue
        if is_claim or is_same:
            now = metrics.get(name)
            is_far = now is None or abs(value - now) > _allowed(name, value, data.rows or 1, is_exact and not is_claim)
            found.append(Difference(name, value, now, is_far, is_claim))
    return tuple(found)


def unmeasured(version: Version, metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return the claims that nothing here can measure, by name: they stay claims."""
    return tuple(name for name in version.claimed if name not in metrics)


def recorded_on(data: EvaluationData, recorded: Sequence[Evaluation]) -> list[Evaluation]:
    """Return those measurements that were made on the same rows and the same truth."""
    return [
        one for one in recorded if one.dataset.sha256 and (one.dataset.sha256, one.dataset.target) == (data.sha256, data.target)
    ]  # fmt: skip


def contradictions(
    recorded: Evaluation, data: EvaluationData, metrics: Mapping[str, float], slices: Sequence[Slice]
) -> tuple[str, ...]:
    """Return in what somebody's measurement on `data` is not what is measured there now, a sentence each.

    Anybody who may write may add one, and policies go by them. Metrics that nothing here measures are left out.
    """
    when = f"the measurement of {recorded.created:%Y-%m-%d %H:%M} says that"
    found = [
        f"{when} {name} is {value:.6g}, and it is {metrics[name]:.6g}"
        for name, value in recorded.metrics.items()
        if name in metrics and abs(value - metrics[name]) > _allowed(name, value, data.rows or 1, is_exact=False)
    ]
    return (*found, *(f"{when} {told}" for told in contradicted_slices(recorded.slices, slices)))


def contradicted_slices(recorded: Sequence[Slice], measured: Sequence[Slice]) -> Iterator[str]:
    """Yield in what metrics by group are others than those that are measured; columns that only one side has are left out."""
    known = {one.column: one for one in measured}
    for one in recorded:
        if one.column not in known:
            continue
        theirs, ours = _by_value(one), _by_value(known[one.column])
        for value in sorted(ours.keys() ^ theirs.keys()):
            yield f"{one.column} has {'no' if value in ours else 'a'} group {value}"
        for value in sorted(ours.keys() & theirs.keys()):
            yield from (f"{told} where {one.column} is {value}" for told in _unlike(theirs[value], ours[value]))


def _unlike(theirs: Group, ours: Group) -> Iterator[str]:
    if theirs.rows != ours.rows:
        yield f"there are {theirs.rows} rows, and not {ours.rows},"
    for name, value in theirs.metrics.items():
        now = ours.metrics.get(name)
        if now is not None and abs(value - now) > _allowed(name, value, ours.rows, is_exact=False):
            yield f"{name} is {value:.6g}, and not {now:.6g},"


def _by_value(one: Slice) -> dict[str, Group]:
    return {json.dumps(group.value, ensure_ascii=False): group for group in one.groups}


def _allowed(name: str, registered: float, rows: int, is_exact: bool) -> float:
    if is_exact:
        return max(_EXACT, _EXACT * abs(registered))
    if name == "roc_auc":
        return _AREA
    if name in {"mae", "rmse", "r2"}:
        return max(_EXACT, _RELATIVE * abs(registered))
    return max(2 / rows, _LEAST)
