"""What each page shows, as JSON-ready data: the templates draw it, and it stands beside the page as it is.

A text that is longer than a list can show is shortened there; the page of its version has the whole of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gitops_registry.audit.decision import Event, entries_of
from gitops_registry.audit.proof import spelled
from gitops_registry.comparison import compare, is_lower_better
from gitops_registry.manifest.facts import Version
from gitops_registry.policy.report import Verdict
from gitops_registry.searching import FoundVersion
from gitops_registry.site.contents import Contents, ModelContents
from gitops_registry.site.figures import trend

_SHORT = 300
_LAST = 20
"""Decisions on the page of a model; all of them are in the audit log."""
_IN_THE_WAY = ("fail", "error")


def shortened(text: str, most: int = _SHORT) -> str:
    """Return a text of at most so many characters; where more were there, `…` ends it."""
    return text if len(text) <= most else text[: most - 1] + "…"


# ── index


def index(site: Contents) -> dict[str, Any]:
    """Return every model in a line: what serves, its headline metric and how it went, owners, what the policies say."""
    law = site.snapshot.constitution
    return {
        "title": site.title, "description": law.description, "commit": site.commit,
        "stages": [stage.name for stage in law.stages],
        "counts": {"models": len(site.models), "versions": sum(len(model.versions) for model in site.models)},
        "models": [model_line(model) for model in site.models], "problems": list(site.problems),
    }  # fmt: skip


def model_line(model: ModelContents) -> dict[str, Any]:
    """Return a model as the index shows it. `trend` are its headline metric's values by version."""
    metric = model.headline
    serving = [_serving(model, number, metric) for number in model.serving if number in model.by_number]
    last = model.versions[-1] if model.versions else None
    return {
        "name": model.name, "title": shortened(model.title), "description": shortened(str(model.state["description"])),
        "owners": [shortened(owner, 80) for owner in model.state["owners"]], "tags": model.state["tags"],
        "versions": len(model.versions), "latest": last.reference.number if last else None,
        "latest_created": last.facts["created"] if last else None, "serving": serving, "metric": metric or None,
        "trend": [one.metrics[metric] for one in model.versions if metric in one.metrics][-50:] if metric else [],
        "policies": policy_state(model),
    }  # fmt: skip


def _serving(model: ModelContents, number: int, metric: str) -> dict[str, Any]:
    version = model.by_number[number]
    return {"version": number, "stage": version.stage, "value": version.metrics.get(metric)}


def policy_state(model: ModelContents) -> dict[str, Any]:
    """Return what the policies say of what serves: `state`, how many rules came to what, and the rules in the way.

    `state` is `none` (nothing serves), `passes`, `waived` (it passes thanks to a waiver), `fails`, `unknown` (a rule asks
    for what only a store, a forge or people could tell, or the policies could not be asked).
    """
    counts = Counter(verdict.result for verdict in model.verdicts)
    binding = [verdict for verdict in model.verdicts if verdict.enforcement != "advisory"]
    results = {verdict.result for verdict in binding}
    if not model.serving:
        state = "none"
    elif results & {*_IN_THE_WAY}:
        state = "fails"
    elif model.problem or not binding or "not-checked" in results:
        state = "unknown"
    else:
        state = "waived" if "waived" in results else "passes"
    wrong = [verdict for verdict in model.verdicts if verdict.result in {*_IN_THE_WAY, "waived"}]
    return {"state": state, "problem": model.problem or None, "counts": dict(sorted(counts.items())), "rules": [_verdict(one) for one in wrong]}  # fmt: skip


def _verdict(verdict: Verdict) -> dict[str, Any]:
    kept = ("policy", "rule", "result", "enforcement", "version", "stage")
    return {**{key: getattr(verdict, key) for key in kept}, "message": shortened(verdict.message), "until": verdict.until or None}  # fmt: skip


# ── a model


def model_page(site: Contents, model: ModelContents) -> dict[str, Any]:
    """Return one model: its stages with who is in them, its versions newest first, its last decisions."""
    state = model.state
    law = site.snapshot.constitution
    names = list(dict.fromkeys(name for one in reversed(model.versions) for name in one.metrics))[:8]
    board = [
        {
            "stage": stage.name, "title": stage.title or stage.name, "serving": stage.serving,
            "versions": [_place(one, model.headline) for one in reversed(model.versions) if one.stage == stage.name],
        }
        for stage in reversed(law.stages)
    ]  # fmt: skip
    return {
        **model_line(model), "description": state["description"], "aliases": state["aliases"],
        "evaluation": state["evaluation"], "board": board, "metric_names": names,
        "table": [_row(one, names) for one in reversed(model.versions)],
        "decisions": [decision(event, site) for event in model.decisions[:_LAST]], "more": len(model.decisions) > _LAST,
    }  # fmt: skip


def _place(version: FoundVersion, metric: str) -> dict[str, Any]:
    return {"version": version.reference.number, "aliases": list(version.aliases), "value": version.metrics.get(metric)}


def _row(version: FoundVersion, names: Sequence[str]) -> dict[str, Any]:
    facts = version.facts
    return {
        "version": version.reference.number, "stage": version.stage, "aliases": list(version.aliases),
        "release": facts["release"], "created": facts["created"], "author": shortened(facts["author"]["name"], 80),
        "model_type": shortened(facts["model_type"], 80), "metrics": {name: version.metrics.get(name) for name in names},
    }  # fmt: skip


# ── two versions


def compare_page(model: ModelContents, known: Mapping[int, Version]) -> dict[str, Any]:
    """Return what any two versions of a model are compared by, and champion and challenger (else the last two) side by side.

    `versions` hold metrics and parameters only; `rows` are all lines of the two in `pair`.
    """
    pair = pair_of(model)
    rows = compare(known[pair[0]], known[pair[1]]) if pair and set(pair) <= set(known) else []
    lower = {name: is_lower_better(name) for one in model.versions for name in one.metrics}
    return {
        "name": model.name, "title": shortened(model.title), "pair": list(pair) if pair else None,
        "champion": model.champion, "challenger": model.challenger,
        "rows": [{**row.to_json(), "left": _plain(row.left), "right": _plain(row.right), "same": row.is_same} for row in rows],
        "lower_is_better": lower,
        "versions": [
            {"version": one.reference.number, "stage": one.stage, "metrics": one.metrics,
             "params": {name: _plain(value) for name, value in one.params.items()}}
            for one in model.versions
        ],
    }  # fmt: skip


def pair_of(model: ModelContents) -> tuple[int, int] | None:
    """Return the two versions that are compared first; None where a model has fewer than two."""
    numbers = [one.reference.number for one in model.versions]
    if model.champion and model.challenger and {model.champion, model.challenger} <= set(numbers):
        return model.champion, model.challenger
    return (numbers[-2], numbers[-1]) if len(numbers) > 1 else None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | float | bool):
        return value
    return shortened(value if isinstance(value, str) else str(value), 120)


# ── decisions


def decision(event: Event, site: Contents) -> dict[str, Any]:
    """Return one decision as lists show it: when, who, whose word it is, and what changed, in words."""
    changes = [
        {
            "kind": one.event, "model": one.model, "version": one.version or None, "text": shortened(one.text),
            **({"renamed_to": one.after} if one.event == "model_renamed" else {}),
        }
        for one in entries_of(event)
    ]  # fmt: skip
    return {
        "commit": event.commit.oid, "time": spelled(event.time), "actor": shortened(event.commit.author, 80),
        "signer": event.signer or None, "role": event.role or None, "grade": event.grade, "proof": event.proof,
        "subject": shortened(event.commit.subject, 160), "changes": changes, "problem": event.problem or None,
        "url": f"{site.commit_page}{event.commit.oid}" if site.commit_page else None,
    }  # fmt: skip


def decision_page(event: Event, site: Contents) -> dict[str, Any]:
    """Return one decision with everything that is known of it."""
    full = event.to_json()
    kept = ("proposal", "pull_request", "reviews", "attested", "signature", "entries")
    told = decision(event, site)
    for change, entry in zip(told["changes"], entries_of(event), strict=True):
        change["text"] = shortened(entry.text, 2_000)
    agreed = None if event.approvals is None else [{**one.to_json(), "text": str(one)} for one in event.approvals]
    return {
        **told, **{key: full[key] for key in kept}, "reason": shortened(event.reason, 20_000), "approvals": agreed, "email": event.commit.email,
        "parents": list(event.commit.parents), "paths": [path for change in full["changes"] for path in change["paths"]][:500],
    }  # fmt: skip


def sparkline(line: Mapping[str, Any]) -> str:
    """Return the points of the line that shows how a model's headline metric went."""
    return trend(line["trend"])
