"""Words of a card: what says nothing is told, in any language, and what says something is taken."""

from __future__ import annotations

import pytest
import yaml
from builder import FINISHED_CARD, World
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry import edits
from gitops_registry.card.form import filled_in, form
from gitops_registry.card.labels import read_labels
from gitops_registry.card.words import PROSE, REQUIRED, VOLUNTARY, empty, thin, unfinished
from gitops_registry.errors import ManifestError
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import dump
from gitops_registry.printing.templates import languages, packaged
from gitops_registry.reference import Reference

PATH = "models/fraud/versions/3/card.yaml"
THIS = Reference("fraud", 3)


def with_limitations(text: str) -> Card:
    return FINISHED_CARD.model_copy(update={"limitations": text})


@pytest.mark.parametrize(
    "text",
    ["Limitations", "the limitations", "Limitations of the model.", "limits: limits", "制限事項", "モデルの制限事項について", "本モデルの制限。"],
)  # fmt: skip
def test_the_name_of_the_field_said_again_is_nothing(text: str) -> None:
    assert empty(with_limitations(text)) == ["limitations"]


@pytest.mark.parametrize(
    "text",
    ["see the README", "same as above", "as before", "特になし", "前回と同じ", "同上", "bla bla", "asdf", "test"],
)
def test_a_word_that_puts_off_the_reader_is_nothing(text: str) -> None:
    assert empty(with_limitations(text)) == ["limitations"]


@pytest.mark.parametrize(
    "text",
    [
        "Work in progress", "WIP", "will be added later", "Still to be written.", "TBD by Alice", "Please fill this in", "to do later today",
        "Describe here what the model is for.", "Explain the known limits here", "Limitations text goes here", "[Your known limits]",
        "xxxxxxxx xxxx xxx", "Unknown at this time", "未定です", "現在、準備中です。", "検討中です", "記載予定です", "後日追記します", "あとで書きます",
        "wird noch ergänzt", "noch zu schreiben", "ska fyllas i", "尚未填写", "稍后补充", "작성 중입니다", "추후 보완 예정", "ещё не написано", "нужно дописать",
    ],
)  # fmt: skip
def test_a_sentence_that_only_promises_words_is_nothing(text: str) -> None:
    assert empty(with_limitations(text)) == ["limitations"]


@pytest.mark.parametrize(
    "text",
    [
        "Unknown merchants score too high.", "Will be wrong on rows from before 2019.", "TBC (tuberculosis) patients only.", "Explain scores to nobody who is not trained.",
        "Your own rows may differ from ours.", "未定の案件には使わない。", "検討中の申込には使えません。", "現在の規則だけを学んだ", "なしと答えた人を含まない", "暂无北方的数据，未经测试",
        "Work in progress on mines is out of its sight.", "XXL sizes are rare in it.",
    ],
)  # fmt: skip
def test_a_sentence_that_begins_as_a_promise_does_is_a_sentence(text: str) -> None:
    assert unfinished(with_limitations(text)) == []


@pytest.mark.parametrize("text", ["Few rows.", "Young applicants", "a b c", "rows rows rows rows", "少ない", "データ"])
def test_a_couple_of_words_are_too_few(text: str) -> None:
    assert empty(with_limitations(text)) == []
    assert thin(with_limitations(text)) == unfinished(with_limitations(text)) == ["limitations"]


@pytest.mark.parametrize(
    "text", ["Trained on one region.", "日本のみ", "海外の決済は含まない", "해외 결제는 거의 없음", "数据只来自一个地区", "ข้อมูลจากภูมิภาคเดียว", "Only Japan (日本)."],
)  # fmt: skip
def test_a_short_sentence_is_enough_also_where_words_are_not_parted(text: str) -> None:
    assert unfinished(with_limitations(text)) == []


def test_what_was_asked_for_later_is_unfinished_only_where_somebody_began_it() -> None:
    assert not set(unfinished(FINISHED_CARD, PROSE)) & VOLUNTARY
    begun = FINISHED_CARD.model_copy(update={"biases": "TODO", "recommendations": "Look at the slices."})
    assert set(unfinished(begun, PROSE)) & VOLUNTARY == {"biases"}


def test_every_required_field_is_one_of_the_words() -> None:
    assert set(REQUIRED) < set(PROSE) < set(Card.model_fields)


@given(st.text(max_size=300))
def test_any_text_is_judged_without_fail(text: str) -> None:
    card = Card(description=text, intended_use=text, limitations=text, training_data=text)
    assert set(unfinished(card)) == {*empty(card), *thin(card)}


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "!" * 99_999 + "a",
        "the " * 25_000,
        "bla " * 25_000,
        "の" * 100_000,
        "test " * 20_000,
        "<" * 100_000,
    ],
)
def test_a_long_text_is_judged_at_once(text: str) -> None:
    unfinished(with_limitations(text), PROSE)


# ── what a gate makes of it


def test_too_few_words_keep_a_version_from_serving_and_are_a_warning_where_it_serves_already(world: World) -> None:
    short = FINISHED_CARD.model_copy(update={"limitations": "Few rows."})
    world.model("fraud").version(card=short).version(card=short).in_stage("production", 1).in_stage(
        "staging", 2
    ).commit()
    move = edits.promote(world.registry.snapshot, Reference("fraud", 2), "production")
    report = world.judged(dict(move))
    (refusal,) = [f for f in report.findings if f.rule == "cards" and f.result == "error"]
    assert refusal.message == "the card lacks limitations; what it says there is too short to tell anybody anything"
    whole = [f for f in world.registry.check().findings if f.rule == "cards"]
    assert {(f.result, f.version) for f in whole} == {("warning", 1), ("warning", 2)}


# ── carried forward


def test_the_next_version_begins_with_the_words_of_the_one_before_and_not_with_its_tags(world: World) -> None:
    card = FINISHED_CARD.model_copy(update={"tags": {"seed": "7"}, "biases": "Young people are refused more often."})
    world.model("fraud").version().version(card=card).commit()
    begun = edits.words_before(world.registry.snapshot, "fraud")
    assert begun == card.model_copy(update={"tags": {}})
    assert edits.words_before(world.registry.snapshot, "new") == Card()
    world.commit({"models/fraud/versions/2/card.yaml": b"kind: ["})
    assert edits.words_before(world.registry.snapshot, "fraud") == Card()


# ── the form


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_form_asks_for_every_field_in_the_language_of_the_card(language: str) -> None:
    labels = packaged(language).labels
    asked = form(THIS, None, labels)
    for field in (*PROSE, "authors", "tags"):
        assert labels[f"ask_{field}"] in asked
    assert asked.count(labels["ask_needed"]) == len(REQUIRED)
    assert set(yaml.safe_load(asked)) == {"kind", "schema_version", *PROSE, "authors", "tags"}


@pytest.mark.parametrize(
    "written",
    [
        b"kind: ModelCard\nschema_version: 1\n",
        b"# mine\nkind: ModelCard\nschema_version: 1\n\n# why\nlimitations: |\n  a\n\n  #: b\n  c\n\ndescription: hi  # there\n",
        "kind: ModelCard\nschema_version: 1\nlicense: MIT # ライセンス\ntags: {a: b}\ndescription: >-\n  説明。\n".encode(),
        b"kind: ModelCard\nschema_version: 1\ntags:\n  x: y\nauthors:\n- Bob\n",
    ],
)
def test_a_form_that_nobody_filled_in_is_the_file_it_came_from_to_the_letter(written: bytes) -> None:
    asked = form(THIS, written, packaged("en").labels)
    assert parse(asked.encode(), PATH, Card).document == parse(written, PATH, Card).document
    assert filled_in(asked.encode()) == written


def test_a_form_of_one_line_is_spread_out() -> None:
    asked = form(THIS, b"{kind: ModelCard, schema_version: 1, description: Scores payments.}\n", packaged("en").labels)
    assert parse(filled_in(asked.encode()), PATH, Card).document == Card(description="Scores payments.")


def test_a_form_of_a_file_that_cannot_be_read_says_what_is_wrong_and_keeps_it() -> None:
    asked = form(THIS, b"kind: ModelCard\nlimitationz: x\n", packaged("en").labels)
    assert f"#: {PATH}:2:1: " in asked
    assert filled_in(asked.encode()) == b"kind: ModelCard\nlimitationz: x\n"


lines = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")) | st.sampled_from("\n#: "), max_size=60)


@given(
    st.builds(
        Card, description=lines, limitations=lines, license=lines, tags=st.dictionaries(st.sampled_from("abc"), lines)
    )
)
def test_any_card_goes_through_a_form_unchanged(card: Card) -> None:
    asked = form(THIS, dump(card, PATH), packaged("ja").labels)
    assert parse(filled_in(asked.encode()), PATH, Card).document == card


# ── catalogues


def test_every_packaged_language_has_every_label() -> None:
    assert languages() == ("en", "ja")
    assert set(packaged("en").labels) == set(packaged("ja").labels)
    same = {name for name, text in packaged("ja").labels.items() if text == packaged("en").labels[name]}
    assert same == set(), same


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("metrics: 3\n", "is no text"), ("metrics: ''\n", "is no text"), ('metrics: "a\\nb"\n', "no line of at most"), (f"metrics: {'x' * 501}\n", "no line of at most"),
        ("metricz: Kennzahlen\n", "no label is called 'metricz'"), ("[1]\n", ""), ("metrics: a\nmetrics: b\n", ""), ("a: &a b\n", ""), ('metrics: "\\u202ea"\n', "no line of at most"),
    ],
)  # fmt: skip
def test_a_catalogue_that_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        read_labels(text.encode(), "cards/templates/labels/de.yaml", frozenset(packaged("en").labels))
