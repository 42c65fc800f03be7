"""Data beside a registered signature, by the command line and in Python, before a prediction and instead of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builder import World
from mlflow.models import ModelSignature
from sklearn.linear_model import LogisticRegression

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.manifest.columns import Column, SignatureFile
from gitops_registry.manifest.reading import parse

ROWS = pd.DataFrame({"age": [20, 30, 40, 50], "income": [1.0, 2.5, 3.0, 4.0]})
WRITTEN = """\
kind: Signature
inputs:
- {name: code, type: string, categories: ["001", "002"]}
- {name: since, type: datetime}
- {name: age, type: long, minimum: 18}
"""


@pytest.fixture(scope="module")
def base(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registered classifier of two columns, and a version of which nothing is known."""
    world = World(tmp_path_factory.mktemp("validated") / "world", template=template)
    world.registry.register("credit", LogisticRegression().fit(ROWS, [0, 0, 1, 1]), X=ROWS, y=pd.Series([0, 0, 1, 1]))
    world.model("blank").version().commit()
    return world


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows that fit, in every form; and rows that do not."""
    folder = tmp_path_factory.mktemp("data")
    ROWS.to_csv(folder / "good.csv", index=False)
    ROWS.to_parquet(folder / "good.parquet")
    np.save(folder / "good.npy", ROWS.to_numpy())
    np.save(folder / "wrong.npy", np.zeros((2, 3)))
    np.save(folder / "objects.npy", np.array([print], dtype=object), allow_pickle=True)
    promised = (folder / "good.npy").read_bytes().replace(b"(4, 2), }            ", b"(4000000000000, 2), }")
    (folder / "short.npy").write_bytes(promised)
    (folder / "empty.npy").write_bytes(b"")
    (folder / "wrong.csv").write_text("income,age,more\n1.5,20,x\n,30.5,y\ninf,40,z\n")
    (folder / "coded.csv").write_text("code,since,age\n001,2026-01-01,20\n002,2026-01-02T10:00:00,30\n")
    (folder / "signature.yaml").write_text(WRITTEN)
    return folder


@pytest.mark.parametrize("file", ["good.csv", "good.parquet", "good.npy"])
def test_rows_that_fit_are_said_to_in_one_line(base: World, data: Path, file: str) -> None:
    assert base.cli("validate", "credit@1", str(data / file)).stdout == "4 rows fit credit@1\n"
    assert base.registry.validate("credit", 1, data / file) == []


def test_every_problem_is_printed_with_its_rows(base: World, data: Path) -> None:
    told = base.cli("validate", "credit", "latest", str(data / "wrong.csv"), check=1).stdout.splitlines()
    assert [line.split()[0] for line in told] == ["column", "age", "income", "income", "more", "(all)", "3"]
    assert told[1].split()[-2:] == ["1", "1"]
    assert "column 'age' must be long, but some values are not whole numbers" in told[1]
    assert told[-1] == "3 rows do not fit credit@1: 3 problems"
    found = json.loads(base.cli("validate", "credit@1", str(data / "wrong.csv"), "--json", check=1).stdout)
    assert (found["signature"], found["rows"], found["fits"]) == ("credit@1", 3, False)
    assert [(one["kind"], one["column"], one["rows"]) for one in found["misfits"]] == [
        ("type", "age", [1]), ("null", "income", [1]), ("infinite", "income", [2]), ("unexpected", "more", []), ("reordered", None, []),
    ]  # fmt: skip
    assert found["misfits"] == [one.to_json() for one in base.registry.validate("credit@1", data=data / "wrong.csv")]


def test_warnings_count_only_where_they_are_to(base: World, data: Path, tmp_path: Path) -> None:
    ROWS.assign(more=1).to_csv(tmp_path / "more.csv", index=False)
    assert base.cli("validate", "credit@1", str(tmp_path / "more.csv")).stdout.endswith(
        "4 rows fit credit@1, with 1 warning\n"
    )
    told = base.cli("validate", "credit@1", str(tmp_path / "more.csv"), "--strict", check=1).stdout
    assert told.endswith("4 rows do not fit credit@1: 1 problem\n")


def test_a_signature_in_a_file_gives_a_csv_its_types(base: World, data: Path) -> None:
    written = str(data / "signature.yaml")
    assert base.cli("validate", written, str(data / "coded.csv")).stdout == f"2 rows fit {written}\n"
    shown = parse(base.cli("signature", "show", written).stdout.encode(), "shown", SignatureFile).document
    assert shown == parse(WRITTEN.encode(), "signature.yaml", SignatureFile).document


@pytest.mark.parametrize("file", ["objects.npy", "short.npy", "empty.npy", "none.npy", "none.csv", "signature.yaml"])
def test_a_file_that_is_no_data_is_refused_in_one_line(base: World, data: Path, file: str) -> None:
    done = base.cli("validate", "credit@1", str(data / file), check=2)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_a_version_without_a_signature_says_what_to_do(base: World, data: Path) -> None:
    for words in (("validate", "blank@1", str(data / "good.csv")), ("signature", "show", "blank@1")):
        done = base.cli(*words, check=2)
        assert "blank@1 has no signature" in done.stderr
        assert "--signature FILE" in done.stderr
    with pytest.raises(NotFound, match="no signature"):
        base.registry.validate("blank", 1, ROWS)
    assert "name a version and its data" in base.cli("validate", "credit@1", check=2).stderr


def test_predict_refuses_tables_and_arrays_that_do_not_fit_and_says_where_to_see_all(base: World, data: Path) -> None:
    model = base.registry.load("credit@1")
    hint = "see all of it: gitops-registry validate credit@1 DATA"
    for wrong in (ROWS.assign(age="x", income=np.nan), np.array([[0.5, np.nan]]), [[0.5, None]]):
        with pytest.raises(
            RegistryError, match=r"does not fit credit@1: column 'age' must be long, .* \(and 1 more\)"
        ) as refused:
            model.predict(wrong)
        assert refused.value.hint == hint
    assert hint in base.cli("predict", "credit@1", str(data / "wrong.csv"), check=2).stderr
    assert list(model.predict(ROWS.to_numpy())) == list(model.predict(ROWS[["income", "age"]]))


def test_a_signature_is_inferred_to_start_from_and_its_data_fits_it(base: World, tmp_path: Path) -> None:
    ROWS.assign(default=[0, 0, 1, 1]).to_csv(tmp_path / "rows.csv", index=False)
    printed = base.cli("signature", "infer", str(tmp_path / "rows.csv"), "--target", "default", "--ranges").stdout
    document = parse(printed.encode(), "signature.yaml", SignatureFile).document
    assert document.inputs == (
        Column(name="age", type="long", minimum=20, maximum=50),
        Column(name="income", type="double", minimum=1.0, maximum=4.0),
    )
    assert document.outputs == (Column(name="default", type="long"),)
    (tmp_path / "signature.yaml").write_text(printed)
    assert "4 rows fit" in base.cli("validate", str(tmp_path / "signature.yaml"), str(tmp_path / "rows.csv")).stdout
    told = json.loads(base.cli("signature", "infer", str(tmp_path / "rows.csv"), "--json").stdout)
    assert [column["name"] for column in told["inputs"]] == ["age", "income", "default"]
    assert (
        "no column 'defalt'"
        in base.cli("signature", "infer", str(tmp_path / "rows.csv"), "--target", "defalt", check=2).stderr
    )


def test_a_signature_is_shown_in_each_systems_words_and_notes_go_elsewhere(base: World) -> None:
    done = base.cli("signature", "show", "credit@1", "--as", "mlflow")
    assert [column.name for column in ModelSignature.from_dict(json.loads(done.stdout)).inputs] == ["age", "income"]
    assert done.stderr.splitlines()[-1] == "note: MLflow looks at types only: missing and infinite values pass"
    told = json.loads(base.cli("signature", "show", "credit@1", "--as", "openinference").stdout)
    assert (told["name"], told["versions"], told["inputs"][0]) == (
        "credit", ["1"], {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
    )  # fmt: skip
    assert (
        json.loads(base.cli("signature", "show", "credit", "1", "--as", "onnx").stdout)["inputs"][1]["elem_type"] == 11
    )
    whole = json.loads(base.cli("signature", "show", "credit@1", "--as", "json-schema", "--json").stdout)
    assert whole["value"]["$defs"]["row"]["required"] == ["age", "income"]
    assert whole["notes"] != []
