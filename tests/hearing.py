"""Reports made by hand: a promotion that every kind of verdict and finding speaks about, and hostile ones."""

from __future__ import annotations

from typing import Any

from builder import CREATED

from gitops_registry.changes import Change
from gitops_registry.comparison import compare
from gitops_registry.manifest.facts import Artifact, Column, Environment, Person, Signature, Version
from gitops_registry.policy.report import DECISION, Finding, Move, Report, Spot, Verdict
from gitops_registry.reporting.review import Review

MODEL = "models/credit-risk/model.yaml"
POLICY = "policies/production-quality.yaml"


def version(**facts: Any) -> Version:
    """Return a version with one artifact."""
    artifact = Artifact(name="model", file="m.bin", format="bytes", size=10, md5="0" * 32, sha256="a" * 64)
    return Version(**{"created": CREATED, "author": Person(name="Alice"), "artifacts": (artifact,), **facts})


def move(**changed: Any) -> Move:
    """Return the move of credit-risk 3 into production, where 2 is."""
    left = version(
        metrics={"accuracy": 0.95, "f1": 0.9, "log_loss": 0.2, "same": 1.0},
        params={"max_depth": 10, "n_estimators": 100},
        signature=Signature(inputs=(Column(name="age", type="long"),)),
        environment=Environment(python="3.11.7", platform="linux", requirements=("numpy==2.4",)),
    )
    right = version(
        metrics={"accuracy": 0.97, "f1": 0.88, "log_loss": 0.1, "same": 1.0},
        params={"max_depth": 15, "n_estimators": 100},
        signature=Signature(inputs=(Column(name="age", type="double", required=False),)),
        environment=Environment(python="3.11.9", platform="linux", requirements=("numpy==2.4",)),
    )
    told = {"model": "credit-risk", "version": 3, "stage": "production", "holders": (2,), "champion": 2}
    return Move(**{**told, "rows": tuple(compare(left, right)), **changed})


def verdict(rule: str, result: Any, **changed: Any) -> Verdict:
    """Return a verdict of production-quality about credit-risk 3."""
    told: dict[str, Any] = {
        "policy": "production-quality",
        "enforcement": "soft",
        "stage": "production",
        "path": POLICY,
    }
    return Verdict(rule=rule, result=result, model="credit-risk", version=3, **{**told, **changed})


SPOT = Spot(MODEL, 5, 3, "credit-risk", 3)
CHANGES = (
    Change("stage_transition", "credit-risk", 2, "2", "production", "archived"),
    Change("stage_transition", "credit-risk", 3, "3", "staging", "production"),
    Change("alias_set", "credit-risk", 3, "champion", 2, 3),
)
RULES = ("schema", "stage-order", "cards", "approvals", "emptied")


def hearing() -> Review:
    """Return a refused promotion: every kind of verdict, and findings of built-in rules."""
    verdicts = (
        verdict("accuracy-floor", "pass", line=8),
        verdict("drift", "fail", line=20, enforcement="advisory", message="drift 0.2", needed="drift below 0.1"),
        verdict("four-eyes", "not-checked", line=24, enforcement="hard", message="nobody asked who approved"),
        verdict("no-regression", "fail", line=12, message="f1 fell by 0.02", needed="f1 of at least 0.89"),
        verdict("recall-floor", "error", line=16, message="no such key: recall", needed="a measured recall"),
        verdict("stale", "skip", line=28, message="a rollback"),
        verdict("fairness", "waived", line=4, policy="fair", path="policies/fair.yaml", message="gap 0.08", waiver="spring", until="2026-12-20"),
    )  # fmt: skip
    findings = (
        Finding.error("cards", "the card has no limitations", "fill in limitations in card.yaml", Spot("models/credit-risk/versions/3/card.yaml", 3, 1, "credit-risk", 3)),
        Finding.error("production-quality/no-regression", "f1 fell by 0.02", "f1 of at least 0.89", SPOT),
        Finding.error("production-quality/recall-floor", "no such key: recall", "a measured recall", SPOT),
        Finding.warning("emptied", "nothing is left in staging", "promote another", SPOT),
        Finding.warning("fair/fairness", "WAIVED until 2026-12-20: gap 0.08", "", SPOT),
        Finding.warning("production-quality/drift", "drift 0.2", "drift below 0.1", SPOT),
        Finding.unchecked("production-quality/four-eyes", "policies", "nobody asked who approved", "ask a forge", SPOT),
        Finding.unchecked("permissions", "actor", "nobody proved who decides", "let a server decide", Spot(MODEL)),
    )  # fmt: skip
    report = Report(findings, CHANGES, RULES, verdicts, (move(),))
    return Review.at(DECISION, report, base="main", head="promote/credit-risk/3/production")


def granted() -> Review:
    """Return a promotion that passes: one policy, two verdicts."""
    verdicts = (verdict("accuracy-floor", "pass", line=8), verdict("no-regression", "pass", line=12))
    return Review.at(DECISION, Report((), CHANGES, RULES, verdicts, (move(),)), base="main", head="promote/x")
