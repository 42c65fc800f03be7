"""Paths and names have one meaning each, and whatever has none is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry import paths
from gitops_registry.paths import Place, name_problem, place_of

MD5 = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("registry.yaml", Place("constitution")),
        ("policies/access.yaml", Place("access")),
        ("policies/quality.yaml", Place("policy", file="quality")),
        ("policies/quality.yml", Place("unknown")),
        ("policies/more/quality.yaml", Place("unknown")),
        ("policies/waivers/one.yaml", Place("waiver", file="one")),
        ("models/fraud/model.yaml", Place("model", "fraud")),
        ("models/fraud/versions/3/version.yaml", Place("version", "fraud", 3)),
        ("models/fraud/versions/3/card.yaml", Place("card", "fraud", 3)),
        ("models/fraud/versions/3/model.onnx.dvc", Place("pointer", "fraud", 3, "model.onnx")),
        ("models/fraud/versions/3/evaluations/live.yaml", Place("evaluation", "fraud", 3, "live.yaml")),
        ("cards/fraud/v3.md", Place("rendered_card", "fraud", 3)),
        (f".dvc/store/files/md5/{MD5[:2]}/{MD5[2:]}", Place("store_object", file=MD5)),
        (".dvc/config", Place("governance")),
        (".dvc/store/files/md5/zz/x", Place("governance")),
        (".github/workflows/check.yaml", Place("governance")),
        ("cards/templates/card.md.j2", Place("governance")),
        ("CODEOWNERS", Place("governance")),
        ("docs/CODEOWNERS", Place("governance")),
    ],
)
def test_a_path_of_a_registry_has_its_meaning(path: str, place: Place) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize(
    "path",
    [
        "", "models", "models/fraud", "models/x.yaml", "models/fraud/versions/0/version.yaml", "models/fraud/versions/03/version.yaml",
        "models/fraud/versions/-1/card.yaml", "models/fraud/versions/3/model.bin", "models/fraud/versions/3/.dvc",
        "models/fraud/versions/3/evaluations/deep/x.yaml", "models/fraud/versions/1234567890/version.yaml", "models/a..b/model.yaml",
        "models/templates/model.yaml", "models/.hidden/model.yaml", "cards/fraud/v03.md", "cards/fraud/v0.md", "cards/v3.md",
        "Registry.yaml", "policies", "src/registry.yaml", "models/fraud/versions/３/version.yaml",
    ],
)  # fmt: skip
def test_a_path_without_a_meaning_is_unknown(path: str) -> None:
    assert place_of(path).role == "unknown"


@given(st.text(alphabet="abmodelsver1/.-_é信\n", max_size=40))
def test_no_path_is_too_strange_for_a_meaning(path: str) -> None:
    place = place_of(path)
    assert place.version == 0 or place.model


@given(
    st.from_regex(paths.NAME, fullmatch=True).filter(lambda name: not name_problem(name)), st.integers(1, 999_999_999)
)
def test_every_path_that_is_made_from_a_name_leads_back_to_it(name: str, number: int) -> None:
    assert place_of(paths.model_path(name)) == Place("model", name)
    assert place_of(paths.version_path(name, number)) == Place("version", name, number)
    assert place_of(paths.card_path(name, number)) == Place("card", name, number)
    assert place_of(paths.pointer_path(name, number, "m.onnx")) == Place("pointer", name, number, "m.onnx")
    assert place_of(paths.rendered_card_path(name, number)) == Place("rendered_card", name, number)


def test_a_stored_object_is_found_by_its_md5() -> None:
    assert place_of(paths.store_path(MD5)) == Place("store_object", file=MD5)


@pytest.mark.parametrize("name", ["fraud", "credit-risk", "a", "0", "A.b_c-1", "x" * 128])
def test_a_name_of_the_grammar_has_no_problem(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "信用", "x" * 129, "a..b", "a.", "a.lock", "Templates", "a@b", "a:b"],
)
def test_a_name_outside_the_grammar_is_told_why(name: str) -> None:
    assert name_problem(name)
