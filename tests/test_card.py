"""A card is the same wherever it is rendered, and nothing that somebody wrote becomes markup of ours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from builder import CREATED, FINISHED_CARD
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry.card.content import Moving, card_content
from gitops_registry.card.escaping import cell, prose_text
from gitops_registry.card.rendering import MARKDOWN, stamped
from gitops_registry.card.words import REQUIRED, unfinished
from gitops_registry.manifest.facts import (
    Artifact,
    Code,
    Column,
    ConfusionMatrix,
    Environment,
    Evaluation,
    EvaluationData,
    Framework,
    Parity,
    Person,
    Signature,
    Training,
    Version,
)
from gitops_registry.manifest.kinds import Card
from gitops_registry.printing import Job, printed
from gitops_registry.printing.templates import packaged
from gitops_registry.reference import Reference

THIS = Reference("fraud", 3)


def version(**facts: Any) -> Version:
    artifact = Artifact(name="model", file="m.bin", format="bytes", size=10, md5="0" * 32, sha256="a" * 64)
    return Version(**{"created": CREATED, "author": Person(name="Alice"), "artifacts": (artifact,), **facts})


def rendered(version: Version, card: Card = FINISHED_CARD, *, language: str = "en") -> str:
    (text,) = printed(MARKDOWN, packaged(language), [Job(card_content(THIS, version, card))])
    assert isinstance(text, str)
    return stamped(text, packaged(language)).decode()


def full() -> Version:
    return version(
        release="1.2.0", task="binary-classification", model_type="RandomForest", framework=Framework(name="scikit-learn", version="1.9"),
        params={"depth": 3, "layers": (1, 2), "gpu": None, "warm": True}, metrics={"accuracy": 0.95, "loss": 0.1 + 0.2, "rows": 1e9},
        confusion_matrix=ConfusionMatrix(labels=("no", "yes"), counts=((89, 11), (10, 90))),
        evaluation=EvaluationData(dataset="holdout", rows=200), training=Training(dataset="2025", rows=800),
        signature=Signature(inputs=(Column(name="age", type="long", required=False),), outputs=(Column(name="p", type="double", shape=(-1, 2)),)),
        artifacts=(
            Artifact(name="model", file="m.onnx", format="onnx", size=10, md5="0" * 32, sha256="a" * 64, parity=Parity(rows=9, agreement=1.0, max_difference=0)),
        ),
        environment=Environment(python="3.11.7", platform="linux-x86_64", requirements=("numpy==2.4",)),
    )  # fmt: skip


def test_a_card_shows_every_fact() -> None:
    text = rendered(full())
    for line in (
        "# fraud — version 3", "| Release | 1.2.0 |", "| Framework | scikit-learn 1.9 |", "| accuracy | 0.95 |", "| loss | 0.3 |",
        "| layers | 1, 2 |", "| warm | true |", "| gpu |  |", "| true \\ predicted | no | yes |", "| no | 89 | 11 |", "| yes | 10 | 90 |",
        "| Trained on | 2025 (800 rows) |", "| Evaluated on | holdout (200 rows) |", "| age | long | optional |", "| → p | double -1, 2 | |",
        f"| m.onnx | 10 | `{'a' * 64}` | 1 |", "Python 3.11.7, linux-x86\\_64", "- numpy==2.4",
    ):  # fmt: skip
        assert line in text.split("\n"), (line, text)


def test_a_card_says_which_code_trained_the_version() -> None:
    code = Code(repository="https://example.com/a|b", commit="0123abc", dirty=True)
    text = rendered(version(training=Training(code=code)))
    assert "| Code | https://example.com/a\\|b, commit 0123abc (with changes that were not committed) |" in text.split(
        "\n"
    )
    assert "| コード | https://example.com/a\\|b, コミット 0123abc (未コミットの変更あり) |" in rendered(
        version(training=Training(code=code)), language="ja"
    )
    assert "| Code |" not in rendered(version())


def test_a_later_measurement_is_shown_with_its_confusion_matrix() -> None:
    later = Evaluation(
        created=CREATED, author=Person(name="Alice"), dataset=EvaluationData(dataset="newer", rows=4), metrics={"accuracy": 0.75},
        confusion_matrix=ConfusionMatrix(labels=("no", "yes"), counts=((2, 0), (1, 1))),
    )  # fmt: skip
    (text,) = printed(
        MARKDOWN, packaged("en"), [Job(card_content(THIS, version(), FINISHED_CARD, Moving(later=(later,))))]
    )
    assert isinstance(text, str)
    lines = text.partition("Evaluated on: newer")[2].split("\n")
    assert {"| true \\ predicted | no | yes |", "| no | 2 | 0 |", "| yes | 1 | 1 |"} <= {*lines}


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head() -> None:
    hostile = full().model_copy(update={"params": {"a|b": "c|d\n| e |", "`": "\\|"}})
    width = 0
    for line in rendered(hostile).split("\n"):
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        assert width in (0, cells) or cells == 0, line
        width = cells


def test_a_card_is_the_same_each_time_and_ends_in_one_line_break() -> None:
    assert rendered(full()) == rendered(full())
    assert rendered(full()).endswith("\n")
    assert not rendered(full()).endswith("\n\n")
    assert "\n\n\n" not in rendered(full())


def test_a_committed_card_does_not_know_what_moves() -> None:
    content = card_content(THIS, full(), FINISHED_CARD)
    moving = ("title", "owners", "stage", "aliases", "history", "approvals", "later")
    assert [content[key] for key in moving] == ["", [], "", [], [], [], []]


def test_a_japanese_card_has_japanese_headings_and_keeps_words_as_they_are() -> None:
    text = rendered(full(), FINISHED_CARD.model_copy(update={"intended_use": "与信審査の補助。"}), language="ja")
    assert text.startswith("# fraud — バージョン 3\n")
    for line in ("## 想定用途", "与信審査の補助。", "## 評価指標", "| 正解 \\ 予測 | no | yes |"):
        assert line in text.split("\n")


def test_what_nobody_wrote_is_said_where_it_is_required() -> None:
    text = rendered(version(), Card())
    assert text.count("_Not written yet._") == len(REQUIRED)
    assert "Ethical" not in text


@pytest.mark.parametrize(
    "attack",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td><b>", "&lt;b&gt;", "<!-- -->", "<details>"],
)
def test_no_html_gets_through(attack: str) -> None:
    hostile = version(
        model_type=attack, params={attack: attack}, author=Person(name=attack), metrics={attack: 1.0},
        framework=Framework(name=attack, version=attack), evaluation=EvaluationData(dataset=attack),
        environment=Environment(python=attack, platform=attack, requirements=(attack,)),
    )  # fmt: skip
    text = rendered(hostile, Card(description=attack, intended_use=attack, limitations=attack, training_data=attack))
    assert re.findall(r"(?<!\\)<", text.rpartition("<!-- card template sha256:")[0]) == []


def test_people_cannot_write_headings_that_look_like_ours() -> None:
    words = "# Approved\ntext\n## Metrics\n  # three\nTitle\n===\nOther\n---\n"
    text = rendered(version(), Card(description=words))
    headings = [line for line in text.split("\n") if re.match(r" {0,3}#", line)]
    assert headings == [
        "# fraud — version 3", "## Intended use", "## Limitations", "## Training data", "## Facts", "## Artifacts",
    ]  # fmt: skip
    assert not re.search(r"^ {0,3}(=+|-+) *$", text.replace("| --- |", ""), re.MULTILINE)


@pytest.mark.parametrize("fence", ["```", "~~~~", "~~~ a`b`", "   ```python", "```` x", "```\n~~~\n``"])
def test_a_code_block_without_an_end_does_not_swallow_the_facts(fence: str) -> None:
    text = rendered(full(), FINISHED_CARD.model_copy(update={"training_data": f"words\n{fence}\ncode"}))
    before = text.split("## Facts")[0].rstrip()
    opened = fence.split("\n")[0].strip()
    assert before.endswith("\n" + re.match(r"`+|~+", opened)[0])  # type: ignore[index]


def test_what_is_in_a_code_block_stays_as_it_is() -> None:
    assert prose_text("```\n# not a heading\n---\n```\n# one") == "```\n# not a heading\n---\n```\n\\# one"


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\x07", "\u202e", "\u2066", "\x85", "\u2028"])
def test_control_characters_and_marks_that_reorder_text_do_not_reach_a_card(sign: str) -> None:
    words = Card(description=f"a{sign}b", intended_use="x", limitations="x", training_data="x")
    assert sign not in rendered(version(model_type=f"a{sign}b", params={f"p{sign}": f"v{sign}"}), words)


@given(st.text())
def test_a_cell_is_one_line_whatever_it_holds(text: str) -> None:
    shown = cell(text)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[|<`]", shown)


@given(st.text())
def test_words_keep_their_lines_and_lose_their_tags(text: str) -> None:
    shown = prose_text(text)
    assert shown.count("\n") - text.count("\n") in {0, 1}
    assert "<" not in shown


def test_links_and_lists_of_people_stay_markdown() -> None:
    assert prose_text("- one\n- [two](https://x.example)\n**b** | c") == "- one\n- [two](https://x.example)\n**b** | c"


@pytest.mark.parametrize(
    "words",
    ["", "TODO", "tbd", "FIXME!", "n/a", "NA", "none", "xxx", "lorem ipsum dolor", "未記入", "「要記入」", "未定"],
)
def test_a_placeholder_is_unfinished(words: str) -> None:
    assert unfinished(FINISHED_CARD.model_copy(update={"limitations": words})) == ["limitations"]


@pytest.mark.parametrize(
    "words", ["None known beyond the region.", "TODO lists are not scored.", "未定の案件には使わない。", "日本のみ"]
)
def test_a_sentence_is_finished(words: str) -> None:
    assert unfinished(FINISHED_CARD.model_copy(update={"limitations": words})) == []


def test_unfinished_fields_are_told_in_order() -> None:
    assert unfinished(Card()) == list(REQUIRED)
