"""Words as HTML, and a card as a page: whatever somebody wrote, it stays text, and nothing of it is fetched or run."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from builder import CREATED, FINISHED_CARD, World
from hypothesis import given, settings
from hypothesis import strategies as st
from test_card import THIS, full, version

from gitops_registry import prose
from gitops_registry.card.content import Content, Moving, card_content
from gitops_registry.card.words import PROSE
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Environment, Evaluation, EvaluationData, Framework, Lineage, Person
from gitops_registry.manifest.figures import FormatFigures, Group, Slice
from gitops_registry.manifest.kinds import Card
from gitops_registry.portrait import page
from gitops_registry.printing.templates import packaged
from gitops_registry.prose import LONGEST, safe_html

TAGS = {
    "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h3", "h4", "h5", "h6",
    "table", "thead", "tbody", "tr", "th", "td", "div",
}  # fmt: skip
VOID = {"meta", "br", "hr", "link", "img", "input"}


class Read(HTMLParser):
    """What a page holds: its tags with their attributes, its text, and what is not closed as it was opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def everything(attack: str) -> Content:
    """A card that says the same thing everywhere somebody may write."""
    hostile = version(
        model_type=attack, params={attack: attack}, author=Person(name=attack, email=attack), metrics={attack: 1.0}, claimed=(attack,),
        framework=Framework(name=attack, version=attack), evaluation=EvaluationData(dataset=attack, rows=3),
        environment=Environment(python=attack, platform=attack, requirements=(attack,)), lineage=Lineage(parents=(attack,), run=attack),
        slices=(Slice(column=attack, groups=(Group(value=attack, rows=2, metrics={attack: 0.5}),)),),
    )  # fmt: skip
    later = Evaluation(
        created=CREATED, author=Person(name=attack), dataset=EvaluationData(dataset=attack), metrics={attack: 1.0},
        formats=(FormatFigures(format=attack, size=3),),
    )  # fmt: skip
    event = {
        "time": "2026-11-22T10:00:00Z",
        "commit": "a" * 40,
        "actor": attack,
        "changes": [attack],
        "reason": attack,
        "signed": True,
    }
    approval = {"time": "2026-11-22T10:00:00Z", "by": attack, "attested": True, "what": attack}
    beside = Moving(attack, (attack,), "production", (attack,), [event], [approval], (later,))
    words = Card(**dict.fromkeys(PROSE, attack), authors=(attack,), tags={attack: attack})
    return card_content(THIS, hostile, words, beside)


ATTACKS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table><b onclick=x>", "--><script>", "\"' onmouseover=alert(1) x='",
    "[x](javascript:alert(1))", "![x](https://evil.example/pixel.png)", "<https://ok.example>", "{{ 7 * 7 }}", "{% raw %}", "]]>", "&#60;script&#62;",
    "[a]: javascript:x\n\n[a]", "<iframe srcdoc='x'>", "<svg/onload=x>", "[x](data:text/html,y)", "[x](//evil.example)", "<style>*{}</style>", "</title><script>x</script>",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_field_becomes_markup_of_ours(attack: str) -> None:
    harmless = Read(page(everything("word"), packaged("en")))
    read = Read(page(everything(attack), packaged("en")))
    assert read.wrong == []
    extra = [tag for tag, _ in read.tags]
    for tag, _ in harmless.tags:
        extra.remove(tag)
    assert set(extra) <= TAGS - {"table", "tr", "td"}
    assert not {"script", "img", "iframe", "svg", "object", "link", "form"} & {tag for tag, _ in read.tags}
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert {link["href"] for link in read.all("a") if "href" in link} <= {"https://ok.example"}


@settings(max_examples=60)
@given(st.text(st.sampled_from("<>&\"'`*_[]()!#-|\\/:;={}% \n\tabj\u202e\u0000\u2066あ"), max_size=80))
def test_whatever_is_written_the_page_stays_whole(text: str) -> None:
    html = page(everything(text or "x"), packaged("ja"))
    read = Read(html)
    assert read.wrong == []
    assert not {"script", "img", "style "} & {tag for tag, _ in read.tags}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    assert len(read.all("style")) == len(read.all("title")) == len(read.all("main")) == 1


def test_a_page_asks_a_browser_for_nothing() -> None:
    html = page(card_content(THIS, full(), FINISHED_CARD), packaged("en"))
    read = Read(html)
    policy = next(meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not any({"src", "srcset", "data", "action"} & set(attributes) for _, attributes in read.tags)
    assert "url(" not in html
    assert "@import" not in html


def test_every_section_has_an_id_and_a_heading_and_every_table_a_caption_and_scopes() -> None:
    later = Evaluation(
        created=CREATED,
        author=Person(name="Bob"),
        dataset=EvaluationData(dataset="december", rows=9),
        metrics={"accuracy": 0.9},
    )
    content = card_content(
        THIS, full(), FINISHED_CARD, Moving("Fraud", ("risk",), "production", ("best",), later=[later, later])
    )
    read = Read(page(content, packaged("en")))
    ids = [str(attributes["id"]) for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    sections = read.all("section")
    assert {
        "description",
        "intended-use",
        "facts",
        "metrics",
        "confusion-matrix",
        "signature",
        "artifacts",
        "history",
        "approvals",
        "later",
    } <= {s["id"] for s in sections}
    assert all(
        section["aria-labelledby"] == f"{section['id']}-heading" and section["aria-labelledby"] in ids
        for section in sections
    )
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(head.get("scope") in {"col", "row"} for head in read.all("th"))
    assert len(read.all("h1")) == 1


def test_drawings_stand_in_the_sections_they_belong_to_and_the_body_stands_alone() -> None:
    content = card_content(THIS, full(), FINISHED_CARD)
    body = page(content, packaged("en"), charts={"metrics": "<svg><title>bars</title></svg>"}, is_whole=False)
    assert body.startswith("<section")
    assert "<html" not in body
    section = body[body.index('<section id="metrics"') :]
    assert "<figure><svg><title>bars</title></svg></figure>" in section[: section.index("</section>")]


def test_what_is_written_in_another_language_than_the_page_says_so() -> None:
    card = FINISHED_CARD.model_copy(update={"intended_use": "与信審査の補助。", "limitations": "한국 데이터 없음"})
    html = page(card_content(THIS, full(), card, Moving("信用リスク分類モデル")), packaged("en"))
    assert '<html lang="en">' in html
    assert '<h1 lang="ja">信用リスク分類モデル</h1>' in html
    assert re.search(r'<div lang="ja">\s*<p>与信審査の補助。', html)
    assert re.search(r'<div lang="ko">\s*<p>한국', html)
    japanese = page(card_content(THIS, full(), card), packaged("ja"))
    assert '<html lang="ja">' in japanese
    assert re.search(r'<div lang="en">\s*<p>Scores applications.', japanese)
    assert ">想定用途<" in japanese


def test_what_a_shallow_clone_cannot_know_is_said_and_not_taken_for_nothing() -> None:
    content = card_content(THIS, full(), FINISHED_CARD, Moving(history=None, approvals=None))
    assert Read(page(content, packaged("en"))).text.count("The history is not known here") == 2


# ── prose


def test_markdown_becomes_html_under_the_headings_of_the_page() -> None:
    html = safe_html("# One\n\n- **b** *i* ~~s~~ `c`\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n\nSix\n---\n\n###### six")
    assert [tag for tag, _ in Read(html).tags if tag.startswith("h")] == ["h3", "h4", "h6"]
    assert "<strong>b</strong> <em>i</em> <s>s</s> <code>c</code>" in html
    assert "<td>2</td>" in html


def test_a_table_is_moved_on_its_own_where_a_screen_is_small() -> None:
    html = safe_html('| a | b |\n|--|--|\n| 1 | <div class="scroll" onclick="x"> |\n')
    assert [found for found in Read(html).tags if found[0] in {"div", "table"}] == [
        ("div", {"class": "scroll", "tabindex": "0"}), ("table", {}),
    ]  # fmt: skip
    assert html.rstrip().endswith("</table>\n</div>")


def test_links_lead_to_https_and_mail_and_say_whose_they_are_not() -> None:
    html = safe_html(
        "[a](https://a.example) [b](mailto:b@example.com) [c](http://c.example) [d](javascript:x) [e](/e) [f](//f.example) [g](file:///etc)"
    )
    links = Read(html).all("a")
    assert [link["href"] for link in links if "href" in link] == ["https://a.example", "mailto:b@example.com"]
    assert {link["rel"] for link in links} == {"noopener noreferrer nofollow"}


def test_an_image_is_its_alternative_text() -> None:
    assert safe_html("![a chart <b>](https://evil.example/x.png)") == "<p>a chart &lt;b&gt;</p>\n"


def test_marks_that_reorder_text_are_shown_as_what_they_are_and_joiners_stay() -> None:
    assert safe_html("a\u202eb\u2066c\x07d می‌خواهم") == "<p>a\ufffdb\ufffdc\ufffdd می‌خواهم</p>\n"


HUGE = {
    "letters": "a" * 10_000_000, "brackets": "[" * 100_000, "stars": "*a" * 50_000, "quotes": "> " * 50_000, "images": "![a" * 30_000,
    "links": "[a](" * 40_000, "entities": "&amp;" * 50_000, "lists": "\n".join(f"{'  ' * n}- a" for n in range(3000)),
    "cells": "|" * 1000 + "\n" + "|-" * 1000 + "|\n" + "|a\n" * 2000, "lines": "\n" * 3_000_000 + "x", "ticks": "`a" * 50_000, "headings": "# a\n" * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_huge_text_is_shortened_and_says_so(text: str) -> None:
    html = safe_html(text, shortened="Cut <here>.")
    assert len(html) < 8 * LONGEST
    assert html.endswith("<p><em>Cut &lt;here&gt;.</em></p>\n")
    assert Read(html).wrong == []


def test_nothing_is_nothing() -> None:
    assert safe_html("") == safe_html(" \n ") == ""


@given(st.text(max_size=400))
def test_any_text_gives_tags_of_the_list_only(text: str) -> None:
    read = Read(safe_html(text))
    assert {tag for tag, _ in read.tags} <= TAGS
    assert read.wrong == []


@pytest.mark.parametrize("missing", ["nh3", "markdown_it"])
def test_what_is_not_installed_is_told_with_how_to_install_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in (prose._reader, prose._cleaner):
        reader.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RegistryError, match="which is not installed") as caught:
        safe_html("words")
    assert caught.value.hint == "pip install 'gitops-registry[site]'"


# ── the whole of it, from a registry


def test_a_page_of_a_registry_has_its_title_its_owners_its_history_and_who_approved(world: World) -> None:
    world.model("fraud", title="不正検知", owners=("risk-team",), aliases={"best": 1}).version().in_stage(
        "staging", 1
    ).commit()
    told = world.registry.card_data("fraud@1")
    assert (told["title"], told["owners"], told["stage"], told["aliases"]) == (
        "不正検知",
        ["risk-team"],
        "staging",
        ["best"],
    )
    (event,) = told["history"]
    assert "fraud: version 1 development → staging" in event["changes"]
    assert told["approvals"] == []
    read = Read(world.registry.card("fraud@1", form="html"))
    for said in (
        "不正検知",
        "risk-team",
        "staging",
        "best",
        "version 1 development → staging",
        "Nobody's approval is on record.",
    ):
        assert said in read.text


def test_words_cannot_stand_where_a_fact_does(world: World) -> None:
    facts: dict[str, Any] = {"metrics": {"accuracy": 0.5}, "model_type": "Forest"}
    words = Card(
        **dict.fromkeys(PROSE, "accuracy: 1.0"),
        authors=("Mallory",),
        tags={"accuracy": "1.0", "author": "Mallory"},
    )
    world.model("fraud").version(card=words, **facts).commit()
    told = world.registry.card_data("fraud@1")
    assert (told["metrics"], told["model_type"], told["authors"][0]["name"]) == ({"accuracy": 0.5}, "Forest", "Alice")
    assert not set(Card.model_fields) & {
        "metrics",
        "model_type",
        "date",
        "history",
        "approvals",
        "stage",
        "title",
        "owners",
    }
