"""`formats` as people type it: measured by real processes, printed, drawn, and kept with the version when somebody wants that."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from builder import World
from story import Trained


@pytest.fixture(scope="module")
def world(trained: Trained, template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry in Japanese with one small forest, and pinned evaluation data."""
    world = World(tmp_path_factory.mktemp("formats") / "world", template=template)
    law = world.read("registry.yaml").decode()
    assert "language: en" in law or "card" not in law
    told = law.replace("language: en", "language: ja") if "language: en" in law else f"{law}card: {{language: ja}}\n"
    world.commit({"registry.yaml": told.encode()})
    rows = pd.read_csv(trained.data)
    registry = world.registry
    registry.register("tumour", trained.model(4), X=rows.drop(columns="diagnosis"), y=rows["diagnosis"])
    assert registry.set_evaluation("tumour", trained.data, target="diagnosis", dataset="Held out")
    return world


@pytest.mark.slow
def test_formats_are_measured_printed_drawn_and_kept_with_the_version(world: World, tmp_path: Path) -> None:
    head = world.git("rev-parse", "HEAD").strip()
    drawing = tmp_path / "formats.svg"
    done = world.cli(
        "formats", "tumour@1", "--only", "pickle", "--only", "skops", "--only", "onnx", "--runs", "2",
        "--chart", str(drawing), "--record", "-m", "Which one to serve.",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "tumour@1 as skops, on Held out, 190 rows"
    assert [line.split()[0] for line in lines[2:5]] == ["pickle", "skops", "onnx"]
    assert all(line.endswith("100 %") for line in lines[2:4])
    assert all(sum(line[at] == "*" for line in lines[2:5]) <= 1 for at in range(len(min(lines[2:5], key=len))))
    assert lines[5].startswith("* smallest or fastest; medians of 2 runs")
    assert "committed as" in done.stdout
    assert done.stderr == f"drawn in {drawing}\n"
    assert "tumour@1 の保存形式の比較" in drawing.read_text(encoding="utf-8")
    changed = world.git("diff", "--name-status", head, "HEAD").split()
    assert (len(changed), changed[0]) == (2, "A")
    (kept,) = json.loads(world.cli("show", "tumour@1", "--json").stdout)["evaluations"]
    assert (kept["metrics"], kept["dataset"]["rows"]) == ({}, 190)
    assert [(one["format"], one["runs"]) for one in kept["formats"]] == [("pickle", 2), ("skops", 2), ("onnx", 2)]
    assert all(one[clock] > 0 for one in kept["formats"] for clock in ("load_ms", "predict_1_ms", "predict_100_ms"))
    assert "by Alice: pickle, skops, onnx" in world.cli("show", "tumour@1").stdout


def test_a_format_that_does_not_apply_is_said_with_the_reason(world: World) -> None:
    words = ("formats", "tumour", "1", "--only", "torchscript")
    assert "torchscript: a model in skops cannot be written in it" in world.cli(*words, check=1).stdout
    assert "測定できなかった形式" in world.cli(*words, "--markdown", check=1).stdout
    told = json.loads(world.cli(*words, "--json", check=1).stdout)
    assert (told["formats"], list(told["left_out"]), told["recorded"]) == ([], ["torchscript"], None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tumour@1", "--propose"), "--dry-run, --propose and --reason say how to record"),
        (("tumour@1", "--chart", "formats.png"), "formats.png is no .svg file"),
        (("tumour@1", "--chart", "nowhere/formats.svg"), "there is no folder nowhere"),
        (("tumour@1", "--runs", "0"), "0 runs are not possible"),
        (("tumour@1", "--only", "tar"), "unknown format 'tar'"),
        (("tumour@1", "--only", "torchscript", "--record"), "nothing to record"),
        (("tumour@9",), "no version 9"),
        (("tumour", "1", "2"), "name one version"),
    ],
)
def test_mistakes_are_answered_in_one_line_and_a_hint(world: World, words: tuple[str, ...], said: str) -> None:
    head = world.git("rev-parse", "HEAD")
    done = world.cli("formats", *words, check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert world.git("rev-parse", "HEAD") == head
