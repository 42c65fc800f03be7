"""The quick reader of manifests says what the parser says, or nothing: whatever the text is, and whatever was read before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry.errors import ManifestError
from gitops_registry.manifest import quick
from gitops_registry.manifest.facts import Version
from gitops_registry.manifest.kinds import Model
from gitops_registry.manifest.reading import parse, plain_mapping

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
OURS = sorted(Path(__file__).parent.parent.glob("models/**/*.yaml"))
TEXTS = [path.read_text() for path in OURS]
BITS = (
    "kind", "a", "b-c", "null", "true", "y", "0012", "12:30", "1e5", "-1", "- ", "-", ".inf", "~", "=", "<<", "'", '"', '""', '"a: b"',
    "\\", ":", ": ", " ", "  ", "    ", "\n", "\n\n", "\n  ", "\n  - ", "\n    ", "{", "}", "[", "]", ", ", ",", "{a: 1}", "[a, b]", "{}",
    "[]", "#", " #", "# c\n", "|", ">", "|\n", "&x", "*x", "!t", "!!str", "%", "@", "`", "?", "? ", "---", "\n---\n", "...", "\t", "\r", "é", "信用",
    "\u3000", "\u00a0", "9" * 30, "2026-01-01", "a: 1\n", "b:\n", "c: {d: e}\n", "- a: 1\n", "x==1.2", "(R)", "a@b.c", "Infinity", "0x1F", "1_0", "+1",
)  # fmt: skip


def agrees(text: str) -> bool:
    """Assert that the quick reader is silent or right, and return whether it spoke. It never sees what YAML forbids."""
    said = None if _FORBIDDEN.search(text) else quick.read(text)
    if said is None:
        return False
    assert repr(said) == repr(plain_mapping(text.encode(), "m.yaml"))
    return True


def test_every_manifest_of_ours_is_read_without_the_parser() -> None:
    assert len(OURS) > 5
    assert [path.name for path, text in zip(OURS, TEXTS, strict=True) if not agrees(text)] == []


@given(st.lists(st.sampled_from(BITS), max_size=14).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_means_what_the_parser_says(text: str) -> None:
    agrees(text + "\n")
    agrees("k: " + text + "\n")
    agrees("k: {a: " + text + "}\n")
    agrees("k:\n  - [" + text + "]\n")


@given(
    st.sampled_from(TEXTS),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(BITS), st.integers(0, 3)), min_size=1, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_a_manifest_of_ours_with_any_signs_put_in_or_left_out_means_what_the_parser_says(
    text: str, cuts: list[tuple[float, str, int]]
) -> None:
    for where, bit, gone in cuts:
        at = int(where * len(text))
        text = text[:at] + bit + text[at + gone :]
    agrees(text)


@given(st.text(st.characters(codec="utf-8"), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_word_means_what_the_parser_says(word: str) -> None:
    for text in (
        f"k: {word}\n",
        f"k: [{word}]\n",
        f"k: {{a: {word}}}\n",
        f'k: "{word}"\n',
        f"{word}: 1\n",
        f"- {word}\n",
    ):
        agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "k: &a 1\n", "k: *a\n", "k: !!str 1\n", "k: 1\nk: 2\n", "k: {a: 1, a: 2}\n", "k: [1\n", "k: {a: 1}}\n", "k: [a,b]\n", "k: {a: 1,}\n",
        "k: .nan\n", "k: 1e999\n", "k: |\n  a\n", "k: a\n  b\n", "k:\n- a\n", "? k\n: 1\n", "k: 'a'\n", "k: \"a\\n\"\n", "null: 1\n", "<<: 1\n",
        "1: 2\n", "k: a: b\n", "k: a #b\n", "k: {a}\n", "k: [a b: c]\n", "- a\n", "k:\n", "k: \n", "\n", "", "k: 1", "k: 1\n---\nk: 2\n", "k:\t1\n",
        "k: {a: [}]\n", "k: -\n", "k: - a\n", "k: [- a]\n", "k: " + "[" * 40 + "]" * 40 + "\n",
    ],
)  # fmt: skip
def test_what_is_not_spelled_as_we_write_it_is_left_to_the_parser(text: str) -> None:
    assert quick.read(text) is None


def test_what_one_manifest_says_does_not_leak_into_the_next() -> None:
    text = "kind: Model\nschema_version: 2\nname: a\ntags: {x: y}\nstages:\n  production: [1]\n"
    first = parse(text.encode(), "models/a/model.yaml", Model).document
    second = parse(text.replace("name: a", "name: b").encode(), "models/b/model.yaml", Model).document
    assert (first.name, second.name) == ("a", "b")
    first.tags["x"] = "changed"
    assert parse(text.encode(), "models/a/model.yaml", Model).document.tags == {"x": "y"}


def test_a_mistake_in_our_own_spelling_is_told_with_its_place() -> None:
    facts = next(path for path in OURS if path.name == "version.yaml").read_bytes()
    with pytest.raises(ManifestError) as caught:
        parse(facts.replace(b"task: binary", b"task: boolean"), "models/a/versions/1/version.yaml", Version)
    assert (caught.value.line, caught.value.column) == (5, 7)


def test_a_position_is_found_in_what_was_read_quickly() -> None:
    text = b"kind: Model\nname: a\nstages:\n  staging: [2]\n  production: [1]\n"
    assert parse(text, "models/a/model.yaml", Model).position("stages", "production") == (5, 15)
