"""A registry that has something for every page of the site, also from somebody who means harm, and how to look at pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import FINISHED_CARD, World

from gitops_registry.manifest.facts import ConfusionMatrix, Evaluation, EvaluationData, Person
from gitops_registry.manifest.figures import FormatFigures, Group, Slice
from gitops_registry.manifest.writing import dump
from gitops_registry.paths import evaluation_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
KINDS = {
    "index": "index.html", "model": "models/credit-risk/index.html", "version": "models/credit-risk/v3.html",
    "compare": "models/credit-risk/compare.html", "audit": "audit/index.html", "policies": "policies.html",
}  # fmt: skip
"""A page of each kind but a decision, whose address is a commit's."""
EVIL = '<script>window.harmed = 1</script><img src=x onerror="window.harmed = 1">"\'><svg onload=window.harmed=1>'
BIDI = "safe‮gpj.exe⁦‏"
SLICES = (
    Slice(column="region", groups=(
        Group(value="東京", rows=120, metrics={"accuracy": 0.91, "f1": 0.9}), Group(value="north", rows=80, metrics={"accuracy": 0.87, "f1": 0.85}),
        Group(value=None, rows=4, metrics={"accuracy": 0.75, "f1": 0.7}),
    )),
)  # fmt: skip
FIGURES = tuple(
    FormatFigures(format=name, size=size, save_ms=3.5, load_ms=4.5, predict_1_ms=0.5, predict_100_ms=2.5, agreement=1.0)
    for name, size in (("skops", 3_200_000), ("onnx", 700_000))
)
WAIVER = """\
kind: Waiver
schema_version: 1
policy: floors
rules: [metrics]
model: credit-risk
version_yaml: {oid}
reason: 検証のため、一時的に免除します。
not_before: {start}
expires: {end}
"""


def fill(world: World) -> None:
    """Give a registry two models with a life, one of them in Japanese, and one whose author means harm."""
    matrix = ConfusionMatrix(labels=("reject", "approve"), counts=((89, 11), (10, 90)))
    credit = world.model("credit-risk", title="信用リスク分類モデル", description="申込者の**返済**を予測します。", owners=("risk-team", "審査部"), tags={"domain": "credit"})  # fmt: skip
    for number, accuracy in enumerate((0.93, 0.92, 0.95, 0.96), 1):
        credit.version(
            metrics={"accuracy": accuracy, "roc_auc": accuracy + 0.02, "f1": accuracy - 0.01, "log_loss": 0.2 + 0.01 * number},
            params={"n_estimators": 100 * number, "criterion": "gini"}, confusion_matrix=matrix, slices=SLICES, model_type="RandomForestClassifier",
        )  # fmt: skip
    credit.in_stage("production", 3).in_stage("staging", 4).in_stage("archived", 1).commit()
    world.model("leaving", owners=("growth",)).version(metrics={"accuracy": 0.97}).in_stage("staging", 1).commit()
    world.cli("rename", "leaving", "churn")
    later = Evaluation(
        created=datetime(2026, 11, 23, tzinfo=UTC), author=Person(name="Alice"), dataset=EvaluationData(dataset="holdout", rows=200),
        metrics={}, formats=FIGURES,
    )  # fmt: skip
    path = evaluation_path("credit-risk", 3, "formats")
    world.commit({path: dump(later, path)}, "measure formats")
    world.cli("promote", "churn", "1", "--to", "production")
    world.cli("merge", "promote/churn/1/production")
    world.cli("alias", "set", "credit-risk@4", "challenger")
    oid = world.git("rev-parse", "HEAD:models/credit-risk/versions/3/version.yaml").strip()
    now = datetime.now(UTC).replace(microsecond=0)
    told = WAIVER.format(
        oid=oid, start=(now - timedelta(days=1)).isoformat(), end=(now + timedelta(days=9)).isoformat()
    )
    world.commit({"policies/waivers/credit.yaml": told.encode()}, "waive")
    harm(world)


def harm(world: World) -> None:
    """Put into a registry what an author who means harm would: markup, addresses that run, marks that turn text round."""
    words = {
        "description": f"{EVIL} [click](javascript:window.harmed=1) ![](https://example.com/pixel.png) <https://example.com>",
        "intended_use": f"# {EVIL}\n\n[a]: javascript:window.harmed=1\n\n[x][a] <a href='javascript:window.harmed=1'>y</a>",
        "limitations": f"{BIDI}\n\n```\n{EVIL}\n",
        "training_data": "| a | b |\n|---|---|\n| " + EVIL + " | [z](data:text/html,<script>1</script>) |",
    }
    evil = FINISHED_CARD.model_copy(update=words)
    world.model("harm", title=f"{BIDI}{EVIL}", description=EVIL, owners=(EVIL,), tags={"a": EVIL}).version(
        metrics={"</script><script>window.harmed=1</script>": 0.5, "accuracy": 0.5}, params={EVIL: EVIL, "u": "\u2028</script>"}, card=evil, model_type=EVIL,
        author=Person(name=EVIL, email="x@example.com"), confusion_matrix=ConfusionMatrix(labels=(EVIL, "</svg><script>"), counts=((1, 2), (3, 4))),
        slices=(Slice(column=EVIL, groups=(Group(value=EVIL, rows=1, metrics={"accuracy": 0.5}),)),),
    ).version(metrics={"accuracy": 0.6}, card=evil).commit()  # fmt: skip
    world.git(
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        f"{EVIL}{BIDI}",
        f"--author={EVIL.replace('<', '').replace('>', '')} <x@example.com>",
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """Give a headless Chromium, the system's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


class Visit:
    """One page that is looked at, and all that must not happen on it: errors in the console, requests to any network."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda told: self.errors.append(told.text) if told.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: str) -> Page:
        """Go to a page of the site, by its file."""
        self.page.goto(
            (self.folder / path.partition("#")[0]).as_uri() + ("#" + path.partition("#")[2] if "#" in path else "")
        )
        self.page.wait_for_load_state("load")
        return self.page

    def was_quiet(self) -> bool:
        """Whether nothing went wrong and nothing was asked of anybody but the folder; says what did, where it did."""
        elsewhere = [url for url in self.requests if not url.startswith((self.folder.as_uri(), "data:", "blob:"))]
        assert (self.errors, elsewhere) == ([], [])
        return True


def facts_of(page: Page, selector: str, name: str = "textContent") -> list[Any]:
    """Return a property of every element that is shown, in order."""
    return list(
        page.eval_on_selector_all(selector, f"found => found.filter(e => e.checkVisibility()).map(e => e.{name})")
    )
