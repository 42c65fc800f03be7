"""A registry's own templates and labels: they take the packaged ones' place once they have landed, and can do no harm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builder import FINISHED_CARD, World, errors
from rules import card_of
from test_card import THIS, full

from gitops_registry import child, edits, paths, printing
from gitops_registry.card.content import card_content
from gitops_registry.card.rendering import MARKDOWN, PAGE, Templates, template_of
from gitops_registry.errors import ManifestError, NotFound, RegistryError
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.report import Finding, Report
from gitops_registry.printing import Job, Limits, printed
from gitops_registry.printing.cards import committed_cards
from gitops_registry.printing.templates import packaged, templates_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Content

OWN = "cards/templates/card.md.j2"
LABELS = "cards/templates/labels"
SHORT = b"# {{ name }} {{ version }}: {{ labels.metrics }}\n\n{{ intended_use | text }}\n"
CARD = Reference("fraud", 1)
JOB = Job(card_content(THIS, full(), FINISHED_CARD))
TIGHT = Limits(memory=400 << 20, seconds=1.0, wait=60.0)


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("made") / "world", template=template)
    return world.model("fraud").version().version().version().in_stage("production", 2).in_stage("staging", 1).commit()


@pytest.fixture
def fraud(made: World, tmp_path: Path) -> World:
    """Three versions: 2 serves, 1 waits in staging."""
    return World(tmp_path / "world", template=made.root)


def own(text: str, name: str = MARKDOWN) -> Templates:
    shipped = packaged("en")
    return Templates({**shipped.sources, name: text}, shipped.labels, "en", frozenset({name}))


def failed(text: str, name: str = MARKDOWN, *, limits: Limits = TIGHT) -> str:
    """What is said of a template that fails: one line."""
    (made,) = printed(name, own(text, name), [JOB], limits=limits)
    return reason(made)


def reason(made: str | RegistryError) -> str:
    """What is said of one card that was not made."""
    assert isinstance(made, RegistryError), made[:200]
    assert made.message.isprintable()
    assert len(made.message) < 300
    return made.message


def about_cards(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.rule == "cards"]


def card(world: World, number: int = 1, revision: str = "main") -> str:
    return world.read(paths.rendered_card_path("fraud", number), revision=revision).decode()


# ── own templates and labels


def test_a_registrys_template_takes_the_packaged_ones_place(fraud: World) -> None:
    fraud.commit({OWN: SHORT})
    fraud.registry.renew_cards()
    assert card(fraud).startswith(
        "# fraud 1: Metrics\n\nSupport for a person who decides.\n\n<!-- card template sha256:"
    )
    assert fraud.registry.check().findings == ()


def test_a_template_can_include_another_one_of_the_registry(fraud: World) -> None:
    fraud.commit({OWN: b'{% include "foot.md.j2" %}', "cards/templates/foot.md.j2": b"the foot\n"})
    before = templates_of(fraud.registry.snapshot).digest(MARKDOWN)
    assert fraud.registry.card("fraud@1").startswith("the foot\n")
    fraud.commit({"cards/templates/foot.md.j2": b"another foot\n"})
    assert templates_of(fraud.registry.snapshot).digest(MARKDOWN) != before


def test_a_page_of_ones_own_can_use_the_packaged_body(fraud: World) -> None:
    fraud.commit(
        {
            "cards/templates/card.html.j2": b'<!DOCTYPE html><p>{{ title or "<none>" }}</p>{% include "card_body.html.j2" %}'
        }
    )
    html = fraud.registry.card("fraud@1", form="html")
    assert html.startswith("<!DOCTYPE html><p>&lt;none&gt;</p>")
    assert "<p>Support for a person who decides.</p>" in html
    assert template_of(fraud.registry.card("fraud@1").encode()) == packaged("en").digest(MARKDOWN)


def test_another_language_is_one_file_and_what_it_lacks_is_english(fraud: World) -> None:
    fraud.commit({f"{LABELS}/fr.yaml": 'metrics: "Métriques"\nintended_use: "Usage prévu"\n'.encode()})
    text = fraud.registry.card("fraud@1", language="fr")
    assert "## Usage prévu\n" in text
    assert "## Métriques\n" in text
    assert "## Facts\n" in text
    law = fraud.read("registry.yaml")
    fraud.commit({"registry.yaml": law.replace(b"card:\n  language: en\n", b"") + b"card:\n  language: fr\n"})
    assert '<html lang="fr">' in fraud.registry.card("fraud@1", form="html")
    fraud.registry.renew_cards()
    assert "## Métriques\n" in card(fraud, 3)
    assert about_cards(fraud.registry.check()) == []


def test_a_registry_can_call_one_thing_otherwise(fraud: World) -> None:
    fraud.commit({f"{LABELS}/en.yaml": b"metrics: Figures\n"})
    assert "## Figures\n" in fraud.registry.card("fraud@1")
    assert "## Facts\n" in fraud.registry.card("fraud@1")
    assert "## Figures\n" not in fraud.registry.card("fraud@1", language="ja")


@pytest.mark.parametrize("language", ["../../x", "EN", "a b", "en.yaml", "e"])
def test_what_is_no_tag_of_a_language_is_refused_without_a_path_to_write(fraud: World, language: str) -> None:
    with pytest.raises(RegistryError, match="is no language") as caught:
        fraud.registry.card("fraud@1", language=language)
    assert caught.value.hint == "name one by its tag, like en, ja or pt-BR"


def test_a_language_that_nobody_wrote_labels_in_is_refused(fraud: World) -> None:
    with pytest.raises(NotFound, match="nobody wrote the labels of cards in 'de'") as caught:
        fraud.registry.card("fraud@1", language="de")
    assert caught.value.hint == "there are: en, ja; or write cards/templates/labels/de.yaml"
    law = fraud.read("registry.yaml").replace(b"card:\n  language: en\n", b"") + b"card:\n  language: de\n"
    (finding,) = about_cards(fraud.judged({"registry.yaml": law}))
    assert (finding.result, finding.path) == ("error", "registry.yaml")
    both: dict[str, Content | None] = {"registry.yaml": law, f"{LABELS}/de.yaml": b"metrics: Kennzahlen\n"}
    assert about_cards(fraud.judged(both)) == []


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        (OWN, b"{% if %}", "card.md.j2:1: "), (OWN, b"\xff", "is not UTF-8"), (OWN, b"x" * 300_000, "is larger than 256 kB"), (OWN, b"{{ x | nosuch }}", ""),
        (f"{LABELS}/en.yaml", b"metricz: x\n", "no label is called 'metricz'"), (f"{LABELS}/fr.yaml", b"metrics: 3\n", "is no text"),
        (f"{LABELS}/French.yaml", b"metrics: x\n", "is no catalogue of labels"), ("cards/templates/card.html.j2", b"{% for %}", "card.html.j2:1: "),
    ],
)  # fmt: skip
def test_templates_and_labels_that_cannot_be_read_do_not_land(
    fraud: World, path: str, content: bytes, told: str
) -> None:
    if told:
        (finding,) = about_cards(fraud.judged({path: content}))
        assert (finding.result, finding.path) == ("error", path)
        assert told in finding.message
    else:  # what is asked of a filter is only known when it runs
        assert about_cards(fraud.judged({path: content})) == []


def test_templates_are_for_administrators(fraud: World) -> None:
    (change,) = fraud.registry.plan(base="main", head=fraud.branch({OWN: SHORT}))
    assert change.paths[0].path == OWN
    from gitops_registry.access import permission_for
    from gitops_registry.manifest.kinds import Access

    snapshot = fraud.registry.snapshot
    assert permission_for(change, snapshot, snapshot.constitution, Access()) == "administer"


# ── who decides which template counts


def test_a_change_is_judged_by_the_templates_before_it(fraud: World) -> None:
    before = fraud.registry.snapshot
    words = {**card_of(fraud, before, 3, limitations="Trained on two regions.")}
    assert errors(fraud.judged({**words, OWN: SHORT})) == set()
    after = before.with_edits({**words, OWN: SHORT})
    (new,) = committed_cards(after, [Reference("fraud", 3)])
    assert isinstance(new, bytes)
    report = fraud.judged({**words, OWN: SHORT, paths.rendered_card_path("fraud", 3): new})
    assert errors(report) == {"cards"}


def test_nothing_of_a_template_that_has_not_landed_is_run(fraud: World) -> None:
    endless = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    assert about_cards(fraud.judged({OWN: endless})) == []


def test_cards_of_an_older_template_refuse_nothing_that_does_not_touch_them(fraud: World) -> None:
    fraud.commit({OWN: SHORT})
    whole = about_cards(fraud.registry.check())
    assert {finding.result for finding in whole} == {"warning"}
    assert {finding.version for finding in whole} == {1, 2, 3}
    move = edits.promote(fraud.registry.snapshot, Reference("fraud", 3), "staging")
    assert {finding.result for finding in about_cards(fraud.judged(dict(move)))} == {"warning"}
    assert fraud.registry.promote("fraud", 3, to="staging", direct=True)
    assert errors(fraud.judged({paths.rendered_card_path("fraud", 3): b"# mine\n"})) == {"cards"}


def test_a_card_of_the_present_template_that_says_something_else_is_refused_everywhere(fraud: World) -> None:
    spoiled = card(fraud).replace("Scores applications.", "Approved by the board.")
    fraud.commit({paths.rendered_card_path("fraud", 1): spoiled.encode()})
    assert [finding.result for finding in about_cards(fraud.registry.check())] == ["error"]


def test_many_old_cards_are_told_in_one_line_each_time(world: World) -> None:
    model = world.model("fraud")
    for _ in range(5):
        model = model.version()
    model.commit()
    world.commit({OWN: SHORT})
    for _ in range(2):
        (finding,) = about_cards(world.registry.check())
        assert finding.message.startswith(
            "5 cards were rendered by another template than the one there is now: fraud@1, "
        )
        assert finding.hint == "renew all that are old: gitops-registry card --all"


def test_a_card_of_before_there_were_digests_is_old_and_no_error(fraud: World) -> None:
    path = paths.rendered_card_path("fraud", 1)
    fraud.commit({path: card(fraud).rpartition("\n<!--")[0].encode()})
    assert [(finding.result, finding.version) for finding in about_cards(fraud.registry.check())] == [("warning", 1)]


def test_renewal_is_one_commit_of_what_is_old_and_of_nothing_else(fraud: World) -> None:
    assert fraud.registry.renew_cards().commit is None
    fraud.commit({paths.rendered_card_path("fraud", 3): b"old\n", paths.rendered_card_path("fraud", 2): None})
    tip = fraud.git("rev-parse", "main").strip()
    assert fraud.registry.renew_cards(dry_run=True).commit is None
    outcome = fraud.registry.renew_cards()
    assert outcome.subject == "render 2 cards anew"
    assert fraud.git("diff", "--name-only", tip, "main").split() == ["cards/fraud/v2.md", "cards/fraud/v3.md"]
    assert fraud.registry.check().findings == ()


def test_the_digest_changes_with_the_template_the_labels_it_names_and_the_language_only() -> None:
    shipped = packaged("en")
    digest = shipped.digest(MARKDOWN)
    assert packaged("ja").digest(MARKDOWN) != digest
    assert Templates(shipped.sources, {**shipped.labels, "metrics": "Figures"}).digest(MARKDOWN) != digest
    assert (
        Templates(shipped.sources, {**shipped.labels, "ask_contact": "Who?", "no_history": "?"}).digest(MARKDOWN)
        == digest
    )
    assert Templates({**shipped.sources, PAGE: "x"}, shipped.labels).digest(MARKDOWN) == digest


def test_bytes_of_a_card_change_only_with_the_number_of_the_rendering() -> None:
    """Where this fails, the code behind the template says something else: count RENDERING up, and write the new one here."""
    import hashlib

    from gitops_registry.card.rendering import RENDERING

    (text,) = printed(MARKDOWN, Templates({MARKDOWN: PROBE}, {}), [JOB])
    assert isinstance(text, str)
    assert (RENDERING, hashlib.sha256(text.encode()).hexdigest()[:16]) == (1, "fd6ea51fec071bf2")


PROBE = "{% for one in [1, 0.25, 1e-7, 1e9] %}{{ one | number }} {% endfor %}{{ '*a|b<c\\n`' | cell }}{{ '# a & <b>\\n~~~\\nx' | text }}{{ params | cell }}{{ metrics }}"


# ── hostile templates


HOSTILE = {
    "an endless loop": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "it takes more than 1 s of processor time"),
    "300 MB of text": ("{{ 'x' * 300000000 }}", "card.md.j2"),
    "more memory than there is": ("{{ 'x' * 3000000000 }}", "memory"),
    "a template that includes itself": ("{% include 'card.md.j2' %}", "card.md.j2"),
    "a name that nobody knows": ("one\ntwo {{ nosuch }}", "card.md.j2:2: 'nosuch' is undefined"),
    "no template at all": ("{% if %}", "card.md.j2:1: "),
    "brackets without end": ("{{" + "(" * 20_000, "card.md.j2"),
    "a long number": ("{{ 9 ** (9 ** 9) }}", "card.md.j2"),
}  # fmt: skip
"""Templates that may end the child, or are wrong as a whole: each has one of its own."""
MISCHIEF = {
    "text without end": ("{% for a in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", "card.md.j2 writes more than 1 MB"),
    "text that doubles": ("{% set ns = namespace(t='x') %}{% for a in range(60) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}", "memory"),
    "a shell": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "card.md.j2:1: "),
    "a shell through a filter": ("{{ cell.__globals__ }}", "card.md.j2:1: 'cell' is undefined"),
    "a shell through format": ("{{ '{0.__class__.__init__.__globals__}'.format(name) }}{{ x }}", "card.md.j2:1: "),
    "a shell through attr": ("{{ name | attr('__class__') }}{{ labels | attr('__class__') }}{{ (name | attr('__class__')).x }}", "card.md.j2"),
    "a file of the machine": ("{% include '/etc/passwd' %}", "card.md.j2:1: /etc/passwd"),
    "a list that is changed": ("{{ artifacts.append(1) }}", "card.md.j2:1: "),
    "a division by nothing": ("{{ 1 / 0 }}", "card.md.j2:1: "),
}  # fmt: skip
"""What a card can try and the child outlives."""


@pytest.mark.parametrize(("text", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_one_line_and_never_the_end(text: str, told: str) -> None:
    assert told in failed(text)


def test_mischief_of_one_card_is_one_line_and_the_child_goes_on_to_the_next() -> None:
    tried = enumerate((text for text, _ in MISCHIEF.values()), 1)
    text = "".join(f"{{% if version == {number} %}}{one}{{% endif %}}" for number, one in tried)
    jobs = [Job({**JOB.content, "version": number}) for number in range(1, len(MISCHIEF) + 2)]
    *refused, last = printed(MARKDOWN, own(f"{text}{{{{ name }}}}"), jobs, limits=TIGHT)
    assert last == "fraud"
    for (name, (_, told)), made in zip(MISCHIEF.items(), refused, strict=True):
        assert told in reason(made), name


ENDLESS = "{{ name }}{% if version > 2 %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}"
TOO_LONG = "card.md.j2: it takes more than 1 s of processor time"


def versions(*numbers: int) -> list[Job]:
    return [Job({**JOB.content, "version": number}) for number in numbers]


def test_a_card_that_takes_too_much_costs_no_other_card_anything() -> None:
    made = printed(MARKDOWN, own(ENDLESS), versions(1, 3, 2, 1, 4, 1), limits=TIGHT)
    assert [str(one) for one in made] == ["fraud", TOO_LONG, "fraud", "fraud", TOO_LONG, "fraud"]


def test_cards_that_take_too_much_are_given_up_once_all_of_them_took_their_time() -> None:
    made = printed(MARKDOWN, own(ENDLESS), versions(1, 3, 4, 5, 6, 1), limits=replace(TIGHT, total=2.5))
    assert str(made[0]) == "fraud"
    assert str(made[1]) == TOO_LONG
    assert str(made[-1]) == "card.md.j2 was not tried: others took too long"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the children that are started; each is a real one."""
    started: list[int] = []

    def talk(*arguments: object, **more: object) -> child.Ended:
        started.append(1)
        return child.talk(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(printing, "talk", talk)
    return started


def test_one_child_renders_all_cards_and_packaged_templates_need_none(fraud: World, counted: list[int]) -> None:
    assert fraud.registry.check(anew=True).findings == ()
    assert counted == []
    fraud.commit({OWN: SHORT})
    fraud.registry.renew_cards(dry_run=True)
    assert len(counted) <= 3  # the edit, and the judgement of it
    counted.clear()
    fraud.registry.check(anew=True)
    assert len(counted) <= 2  # the cards, and a look at the templates


def test_a_template_that_fails_is_a_finding_and_a_verb_says_why_it_did_nothing(fraud: World) -> None:
    fraud.commit({OWN: b"{{ nosuch }}"})
    report = fraud.registry.check()
    assert {finding.result for finding in about_cards(report)} == {"warning"}
    assert "the card cannot be rendered: card.md.j2:1: 'nosuch' is undefined" in {f.message for f in report.findings}
    words = dump(
        FINISHED_CARD.model_copy(update={"limitations": "Trained on two regions."}), paths.card_path("fraud", 3)
    )
    assert errors(fraud.judged({paths.card_path("fraud", 3): words})) == {"cards"}
    for attempt in (lambda: fraud.registry.renew_cards(), lambda: fraud.registry.update_card("fraud@3", words)):
        with pytest.raises(RegistryError, match="'nosuch' is undefined") as caught:
            attempt()
        assert (
            caught.value.hint == "correct it in cards/templates, or remove it there: the packaged one takes its place"
        )
    assert fraud.registry.promote("fraud", 3, to="staging", direct=True)  # what serves can be mended all the same
    fraud.commit({OWN: None})
    assert fraud.registry.check().findings == ()


def test_a_catalogue_that_is_broken_stops_what_renders_with_its_place(fraud: World) -> None:
    fraud.commit({f"{LABELS}/en.yaml": b"metrics: ["})
    with pytest.raises(ManifestError, match=r"cards/templates/labels/en\.yaml:2:1: is not YAML"):
        fraud.registry.card("fraud@1")
    assert "error" in {finding.result for finding in about_cards(fraud.registry.check())}


def test_a_template_leaves_nothing_behind_and_sees_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    (made,) = printed(MARKDOWN, own("{{ labels.metrics }} {{ range(3) | list }} {{ namespace }}"), [JOB])
    assert isinstance(made, str)
    assert "hunter2" not in made


def test_words_of_a_card_are_no_template(fraud: World) -> None:
    card_ = Card(
        description="{{ 7 * 7 }} {% raw %}",
        intended_use="{{ name }} is used so",
        limitations="{# none #} at all here",
        training_data="{{ nosuch }} of 2025",
    )
    fraud.registry.update_card("fraud@3", dump(card_, paths.card_path("fraud", 3)))
    assert "{{ 7 * 7 }} {% raw %}" in card(fraud, 3)
