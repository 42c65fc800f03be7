"""The comparison of formats: every one is written, read back and measured, and whatever goes wrong is one format without figures."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from builder import World, errors
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from gitops_registry import edits
from gitops_registry.child import talk
from gitops_registry.clocking import WAYS, Job, agreement, measured, rows_in
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats import onnx, sklearn
from gitops_registry.formats.estimator import EstimatorModel
from gitops_registry.formats.loaded import Trust
from gitops_registry.manifest.facts import EvaluationData, Person
from gitops_registry.manifest.figures import FormatFigures
from gitops_registry.policy.data import measurements
from gitops_registry.reference import Reference
from gitops_registry.reporting import figures
from gitops_registry.runs import Limits, figures_of, run
from gitops_registry.timing import Timed

ROWS = pd.DataFrame(
    {"area": [1.0, 2.0, 3.0, 4.0] * 30, "city": ["Köln", "東京"] * 60, "answer": ["no", "no", "yes", "yes"] * 30}
)
INPUTS = ("area", "city")
CLOCKED = ("load_ms", "predict_1_ms", "predict_100_ms")
PICKLE = FormatFigures(
    format="pickle", size=373_785, save_ms=2.98, load_ms=2.21, predict_1_ms=6.27, predict_100_ms=6.37, agreement=1.0, runs=5
)  # fmt: skip
ONNX = FormatFigures(
    format="onnx", size=158_267, save_ms=257.4, load_ms=12.34, predict_1_ms=0.578, predict_100_ms=0.72, agreement=0.99999, runs=5
)  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small pipeline of numbers and text as skops, the same as ONNX, and rows."""
    folder = tmp_path_factory.mktemp("stored")
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(columns, DecisionTreeClassifier(max_depth=3, random_state=0))
    model.fit(ROWS[list(INPUTS)], ROWS["answer"])
    sklearn.save(model, folder / "model.skops")
    onnx.convert(model, folder / "model.onnx", sample=ROWS[list(INPUTS)])
    ROWS.to_csv(folder / "rows.csv", index=False)
    return folder


def job(stored: Path, name: str, **more: Any) -> Job:
    """Return the job of measuring a format of the pipeline."""
    told = {"table": str(stored / "rows.csv"), "columns": INPUTS, "is_compared": True, **more}
    return Job(name, ("skops", str(stored / "model.skops")), **told)


# ── one format


@pytest.mark.parametrize("name", WAYS)
def test_an_estimator_is_written_in_a_format_read_back_and_agrees(stored: Path, tmp_path: Path, name: str) -> None:
    found = measured(job(stored, name), tmp_path, Trust())
    assert found["agreement"] == 1.0
    assert found["size"] > 500
    assert all(found[clock] > 0 for clock in ("save_ms", *CLOCKED))


def test_the_onnx_file_of_a_version_is_the_one_that_is_measured(stored: Path, tmp_path: Path) -> None:
    own = stored / "model.onnx"
    found = measured(job(stored, "onnx", own=str(own)), tmp_path, Trust())
    assert (found["size"], found["agreement"]) == (own.stat().st_size, 1.0)
    assert found["save_ms"] > 0  # what converting it takes
    (tmp_path / "b").mkdir()
    unconverted = measured(job(stored, "onnx", own=str(own), table="", columns=()), tmp_path / "b", Trust())
    assert unconverted["save_ms"] is None


def test_a_model_that_cannot_be_written_in_others_is_loaded_and_predicts(stored: Path, tmp_path: Path) -> None:
    own = str(stored / "model.onnx")
    table = str(stored / "rows.csv")
    found = measured(Job("onnx", ("onnx", own), own, table, INPUTS, is_compared=True), tmp_path, Trust())
    assert (found["save_ms"], found["agreement"]) == (None, 1.0)
    assert all(found[clock] > 0 for clock in CLOCKED)


def test_without_rows_there_are_size_saving_and_loading_alone(stored: Path, tmp_path: Path) -> None:
    found = measured(job(stored, "joblib", table="", columns=()), tmp_path, Trust())
    assert set(found) == {"size", "save_ms", "load_ms"}
    (tmp_path / "b").mkdir()
    with pytest.raises(RegistryError, match="cannot be converted: there are no rows"):
        measured(job(stored, "onnx", table="", columns=()), tmp_path / "b", Trust())


def test_a_model_of_an_array_is_measured_on_a_table(tmp_path: Path) -> None:
    sklearn.save(LinearRegression().fit([[0.0, 1.0], [1.0, 3.0]], [1.0, 2.0]), tmp_path / "model.skops")
    (tmp_path / "rows.csv").write_text("x0,x1\n0.5,1\n0.1,7\n")
    for name in ("pickle", "onnx"):
        (tmp_path / name).mkdir()
        told = Job(name, ("skops", str(tmp_path / "model.skops")), "", str(tmp_path / "rows.csv"), (), is_compared=True)
        assert measured(told, tmp_path / name, Trust())["agreement"] == 1.0


def test_agreement_is_the_share_of_equal_labels_and_of_values_that_are_close() -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    tree = DecisionTreeClassifier().fit(rows, ["a", "b", "b", "b"])
    always = DummyClassifier(strategy="constant", constant="b").fit(rows, ["a", "b", "b", "b"])
    kind = "binary-classification"
    assert agreement(EstimatorModel(tree, kind, "skops"), EstimatorModel(always, kind, "pickle"), rows) == 0.75

    def constant(value: float) -> EstimatorModel:
        model = DummyRegressor(strategy="constant", constant=value).fit(rows, [0.0] * 4)
        return EstimatorModel(model, "regression", "skops")

    assert agreement(constant(1.0), constant(1.00005), rows) == 1.0
    assert agreement(constant(1.0), constant(1.001), rows) == 0.0


@pytest.mark.parametrize(
    "told",
    [
        {"columns": ["area", "city"], "data": [[1.0, "Köln"]]},
        {"dataframe_split": {"columns": ["area", "city"], "data": [[1.0, "Köln"]]}},
        [{"area": 1.0, "city": "Köln"}],
        {"area": [1.0], "city": ["Köln"]},
    ],
)
def test_an_input_example_is_read_however_it_is_spelled(tmp_path: Path, told: Any) -> None:
    (tmp_path / "example.json").write_text(json.dumps(told))
    assert rows_in(tmp_path / "example.json", ("city",)).to_dict("list") == {"city": ["Köln"]}


@pytest.mark.parametrize("text", ["[]", "{", "3", '{"columns": ["a"], "data": [[1, 2]]}', "[" * 100_000])
def test_an_input_example_that_is_no_table_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "example.json").write_text(text)
    with pytest.raises(RegistryError, match=r"example\.json"):
        rows_in(tmp_path / "example.json")


# ── the processes

ODD = """
import os, signal
import numpy
from sklearn.base import BaseEstimator, ClassifierMixin

class Odd(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = numpy.array([0, 1])
        self.n_features_in_ = 1
        return self
    def predict(self, X):
        os.write(1, b"no JSON at all\\n")
        return numpy.zeros(len(X), dtype=int) if "SECRET" not in os.environ else os.kill(os.getpid(), signal.SIGKILL)
    def __reduce_ex__(self, protocol):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model that is no more when somebody pickles it, or when it sees a secret, and prints what nobody asked for."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "odd_model.py").write_text(ODD)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("SECRET", "token")
    from odd_model import Odd  # type: ignore[import-not-found]

    sklearn.save(Odd().fit([[0]], [0]), tmp_path / "model.skops")
    yield tmp_path / "model.skops"
    sys.modules.pop("odd_model")


def test_a_format_whose_process_dies_is_one_without_figures_and_the_next_is_measured(
    odd: Path, stored: Path, tmp_path: Path
) -> None:
    heard: list[str] = []
    jobs = [
        Job(name, ("skops", str(odd)), "", str(stored / "rows.csv"), ("area",), is_compared=not number)
        for name in ("pickle", "skops")
        for number in range(2)
    ]
    (tmp_path / "room").mkdir()
    found = run(jobs, tmp_path / "room", Trust(("odd_model.Odd",)), heard.append)
    assert found["pickle"] == "its process was ended by SIGKILL"
    told = found["skops"]
    assert isinstance(told, FormatFigures)
    assert (told.agreement, told.runs) == (1.0, 2)
    assert heard[0] == "measuring pickle, 4 to go"
    assert heard[-1] == ""
    assert list((tmp_path / "room").glob("job-*")) == []


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(memory=40 << 20), "MB of memory|its process"),
        (Limits(seconds=0.05), "took more than 0.05 s"),
    ],
)
def test_a_process_that_takes_too_much_is_a_format_without_figures(
    stored: Path, tmp_path: Path, limits: Limits, why: str
) -> None:
    (tmp_path / "room").mkdir()
    found = run([job(stored, "pickle")], tmp_path / "room", Trust(), lambda _: None, limits)
    assert isinstance(found["pickle"], str)
    assert any(part in found["pickle"] for part in why.split("|")), found


def test_what_a_child_has_started_ends_with_it() -> None:
    code = "import os, time\nif os.fork() == 0: print(os.getpid(), flush=True)\ntime.sleep(600)"
    done = talk([sys.executable, "-I", "-S", "-c", code], b"", until=time.monotonic() + 2, longest=100)
    status = Path(f"/proc/{int(done.output)}/stat")
    deadline = time.monotonic() + 20
    while status.exists() and status.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_figures_are_medians_and_agreement_is_that_of_the_first_run() -> None:
    said = [{"size": 10 + n, "save_ms": save, "load_ms": 1.0, "predict_1_ms": None} for n, save in enumerate((9.0, 1.0, 2.0))]  # fmt: skip
    said[0]["agreement"] = 0.5
    found = figures_of("pickle", said)
    assert found == FormatFigures(format="pickle", size=11, save_ms=2.0, load_ms=1.0, agreement=0.5, runs=3)


@pytest.mark.parametrize(
    "said",
    [
        [{}],
        [{"size": "much"}],
        [{"size": -1}],
        [{"size": 1, "load_ms": float("nan")}],
        [{"size": 1, "agreement": 2}],
        [{"size": 1}, {}],
    ],
)
def test_what_is_no_measurement_is_a_reason(said: list[Any]) -> None:
    assert figures_of("pickle", said) == "its process said what is no measurement"


# ── a version of a registry


@pytest.fixture(scope="module")
def base(stored: Path, template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry with the pipeline, which pins rows."""
    world = World(tmp_path_factory.mktemp("compared") / "world", template=template)
    registry = world.registry
    registry.register("trees", stored / "model.skops", X=ROWS[list(INPUTS)])
    assert registry.set_evaluation("trees", stored / "rows.csv", target="answer", dataset="Rows")
    return world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=base.root)


def test_mlflow_is_left_out_with_the_next_step_where_it_is_not_installed(
    base: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    found = base.registry.compare_formats("trees@1", formats=["mlflow", "torchscript"])
    assert found.left_out == {
        "mlflow": "not installed: pip install 'gitops-registry[mlflow]'",
        "torchscript": "a model in skops cannot be written in it",
    }
    assert found.data is not None
    assert (found.data.dataset, found.data.rows, found.data.target) == ("Rows", 120, "")
    with pytest.raises(RegistryError, match="nothing to record"):
        base.registry.record([found])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runs": 0}, "0 runs are not possible"),
        ({"runs": 101}, "101 runs are not possible"),
        ({"formats": ["pickel"]}, "unknown format 'pickel'"),
        ({"data": "missing.csv"}, "there is no file"),
        ({"data": "{stored}/model.onnx"}, "is no table the registry reads"),
        ({"data": "{stored}/few.csv"}, "the data does not fit trees@1"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    base: World, stored: Path, options: dict[str, Any], said: str
) -> None:
    (stored / "few.csv").write_text("area\n1.0\n")
    given = {key: value.format(stored=stored) if key == "data" else value for key, value in options.items()}
    with pytest.raises(RegistryError, match=said):
        base.registry.compare_formats("trees@1", **given)


def test_a_version_that_nothing_can_open_is_not_compared(world: World) -> None:
    world.model("blob").version().commit()
    with pytest.raises(NotFound, match="nothing in a format that can be opened here"):
        world.registry.compare_formats("blob@1")


def test_where_none_are_pinned_the_rows_that_the_version_keeps_are_predicted(world: World, stored: Path) -> None:
    model, inputs = stored / "model.skops", ROWS[list(INPUTS)]
    made = world.registry.register("kept", model, X=inputs, y=ROWS["answer"], keep_rows=True, example=3)
    found = world.registry.compare_formats("kept@1", runs=1, formats=["skops"])
    assert found.data is not None
    assert made.version.evaluation is not None
    assert (found.data.rows, found.data.sha256) == (120, made.version.evaluation.sha256)
    assert found.figures[0].predict_100_ms is not None


def timed(world: World) -> Timed:
    """Return a comparison on the pinned rows, with the column of truth named as no comparison of ours does."""
    pinned = world.registry.snapshot.known_model("trees").evaluation
    assert pinned is not None
    data = EvaluationData(dataset="Rows", rows=120, target=pinned.target, sha256=pinned.sha256)
    return Timed(Reference("trees", 1), "skops", data, (PICKLE, ONNX), {})


def test_a_comparison_is_appended_by_the_same_path_as_a_measurement(world: World) -> None:
    head = world.git("rev-parse", "HEAD").strip()
    registry = world.registry
    assert registry.record([timed(world)], dry_run=True)
    assert world.git("rev-parse", "HEAD").strip() == head
    outcome = registry.record([timed(world)], reason="For the card.")
    assert world.git("log", "-1", "--format=%B").strip() == "compare formats of trees 1\n\nFor the card."
    assert [str(change) for change in outcome.changes] == ["trees: evaluation of version 1 added"]
    (told,) = measurements(registry.snapshot, Reference("trees", 1))
    assert (told.metrics, told.formats, told.author.name) == ({}, (PICKLE, ONNX), "Alice")
    proposed = registry.record([timed(world)], direct=False)
    assert proposed.proposal is not None
    assert [finding for finding in registry.check().findings if finding.result == "error"] == []


SEEN = b"""\
kind: Policy
schema_version: 1
name: seen
match: {to: [staging]}
validations:
- id: nothing
  expression: "candidate.measured_on == 'nothing' && candidate.measured_at == null && candidate.measured_rows == null && size(candidate.measured) == 0"
  message: something was measured
tests:
- {name: nothing, set: {candidate.measured_on: nothing, candidate.measured_at: null, candidate.measured_rows: null, candidate.measured: {}}, expect: {nothing: pass}}
- {name: something, set: {candidate.measured_on: pinned}, expect: {nothing: fail}}
"""


def test_a_recorded_comparison_changes_no_verdict_of_a_policy(world: World) -> None:
    world.commit({"policies/seen.yaml": SEEN})
    assert errors(world.judged(edits.promote(world.registry.snapshot, Reference("trees", 1), "staging"))) == set()
    assert world.registry.record([timed(world)])
    assert errors(world.judged(edits.promote(world.registry.snapshot, Reference("trees", 1), "staging"))) == set()
    record = timed(world).to_record(Person(name="Bob"), datetime(2026, 1, 1, tzinfo=UTC))
    real = record.model_copy(update={"metrics": {"accuracy": 1.0}, "formats": ()})
    world.commit(edits.add_evaluation(world.registry.snapshot, Reference("trees", 1), real))
    after = world.judged(edits.promote(world.registry.snapshot, Reference("trees", 1), "staging"))
    assert errors(after) == {"seen/nothing"}


# ── how they are shown


def test_numbers_are_set_in_line_and_the_best_have_a_mark() -> None:
    assert figures.cells([PICKLE, ONNX]) == [
        ["pickle", "373,785  ", "2.98 *", "2.21 *", "6.27  ", "6.37  ", "100 %"],
        ["onnx", "158,267 *", "257  ", "12.3  ", "0.578 *", "0.720 *", "99.99 %"],
    ]
    alone = FormatFigures(format="pickle", size=1)
    assert figures.cells([alone]) == [["pickle", "1  ", None, None, None, None, None]]


def test_markdown_has_bold_bests_and_text_that_forges_leave_alone() -> None:
    told = figures.markdown("trees@1", [PICKLE, ONNX], {"mlflow": "no | <b>@alice</b>\nat all"})
    lines = told.splitlines()
    assert "| format | size (bytes) | save (ms) | load (ms) | predict 1 row (ms) | predict 100 rows (ms) | agreement |" in lines  # fmt: skip
    assert "| `pickle` | 373,785 | **2.98** | **2.21** | 6.27 | 6.37 | 100 % |" in lines
    assert lines[-1] == "- `mlflow`: no | `<b>@alice</b>` at all"
    japanese = figures.markdown("trees@1", [PICKLE, ONNX], {}, language="ja")
    assert "保存形式の比較" in japanese
    assert "| 読み込み (ms) |" in japanese


@pytest.mark.parametrize(("language", "title", "axis"), [("en", "Formats of trees@1", "load (ms)"), ("ja", "trees@1 の保存形式の比較", "読み込み (ms)")])  # fmt: skip
def test_a_chart_is_the_same_each_time_and_says_what_it_shows(language: str, title: str, axis: str) -> None:
    drawing = figures.chart("trees@1", [PICKLE, ONNX], language=language)
    assert drawing == figures.chart("trees@1", [PICKLE, ONNX], language=language)
    tree = ElementTree.fromstring(drawing)
    space = "{http://www.w3.org/2000/svg}"
    named = {one.get("id"): one.text or "" for one in tree if one.tag in {f"{space}title", f"{space}desc"}}
    assert (tree.get("role"), tree.get("aria-labelledby")) == ("img", " ".join(named))
    first, description = named.values()
    assert first == title
    assert "pickle: " in description
    assert "373,785" in description
    words = "".join(tree.itertext())
    assert axis in words
    assert "0.578 ★" in words
    assert "prefers-color-scheme: dark" in words
    assert "#fff" not in drawing.lower()
    assert "white" not in drawing


def test_a_name_cannot_leave_its_place_in_a_chart() -> None:
    odd = FormatFigures(format="<script>", size=1)
    tree = ElementTree.fromstring(figures.chart("<x>&", [odd]))
    assert [one.tag for one in tree.iter() if one.tag.endswith(("script", "x"))] == []


def test_without_the_libraries_that_draw_it_is_said_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(RegistryError, match="a chart needs altair and vl-convert") as caught:
        figures.chart("trees@1", [PICKLE])
    assert caught.value.hint == "pip install 'gitops-registry[charts]'"


def test_a_chart_of_nothing_is_an_error() -> None:
    with pytest.raises(RegistryError, match="nothing to draw"):
        figures.chart("trees@1", [])
