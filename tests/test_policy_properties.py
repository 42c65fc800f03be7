"""Whatever policies and manifests say, a check ends with a report or with an error of ours, and twice with the same."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import pytest
from builder import CREATED, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules import ENGINE, Files, promoted, proven

from gitops_registry import paths
from gitops_registry.changes import Change
from gitops_registry.difference import diff
from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.manifest.policies import Policy, Waiver
from gitops_registry.manifest.reading import parse as parse_manifest
from gitops_registry.manifest.writing import dump
from gitops_registry.policy.check import check, check_whole
from gitops_registry.policy.explaining import explained
from gitops_registry.policy.grammar import NotUnderstood, parse, reads, shown_parts
from gitops_registry.policy.report import ADVICE, DECISION, Facts, Judgement, Report, Tenures
from gitops_registry.policy.rulebook import rulebook
from gitops_registry.policy.subjects import subjects
from gitops_registry.reference import Reference
from gitops_registry.snapshot import FILE_MODE, PathChange, Snapshot

FOUND = Facts(
    actor="ann", approvals=("ann", "nobody"), presence={}, cards={}, altered={}, now=CREATED,
    history={
        ("fraud", "production"): Tenures((2, 1), (2, 1)), ("fraud", "staging"): Tenures((3,), ()), ("fraud", "archived"): Tenures((), ()),
    },
)  # fmt: skip
NOT_FOUND = Facts()
PIECES = (
    "candidate", "champion", "model", "change", "params", "variables", "registry", "now", ".stage", ".measured", ".accuracy", ".f1", "['f1']",
    "[params.a]", "[0]", ".artifacts", ".exists(a, a.size > 1)", ".all(x, ", ".map(m, m)", ".filter(", ")", "(", "[", "]", "{", "}", "true",
    "null", "1", "0.5", "'a'", '"b"', "r'\\d'", " == ", " != ", " < ", " && ", " || ", " + ", " - ", " / ", " in ", "!", "-", " ? ", " : ", ",",
    "size(", "keys(", "has(", "string(", "duration('1h')", "timestamp(", ".matches('(a+)+$')", ".startsWith('a')", ".join(',')", "variables.a",
    "params.a", "model.tags", "change.approvals", "\n", "// x", "\\", "'", "日本", "\x7f", "math.greatest(1, 2)", "type(", "dyn(", "b'a'", "1u", "0x1",
)  # fmt: skip
GOOD = (
    "candidate.measured.accuracy > 0.5", "champion == null || champion.version > 0", "size(model.owners) > 0", "change.is_rollback", "params.a",
    "change.approvals.exists(a, a.role == 'admin')", "keys(candidate.params).all(k, k != '')", "model.tags.all(k, model.tags[k] != '')", "variables.a",
    "now - candidate.created > duration('1h')", "candidate.card.unfinished.size() == 0", "candidate.metrics[params.a] > 0.0", "'a'", "1 / 0 == 1",
)  # fmt: skip
expressions = st.one_of(
    *[st.sampled_from(GOOD)] * 5,  # most: one that is refused hides the others of its policy
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join),
    st.text(max_size=40),
)
names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
facts_named = st.sampled_from(
    ["candidate.measured.accuracy", "champion", "change.approvals", "model.title", "candidate", "now", "change.is_rollback", "params.a",
     "candidate.created", "champion.version", "model.tags['x']", "candidate.artifacts[0].size", "variables.a", "nothing", "1", ""]
)  # fmt: skip
policies = st.fixed_dictionaries(
    {
        "match": st.fixed_dictionaries(
            {},
            optional={
                "events": st.lists(st.sampled_from(["stage_transition", "alias_set", "version_registered", "card_updated"]), min_size=1, max_size=3),
                "to": st.lists(st.sampled_from(["production", "staging", "nowhere"]), max_size=2),
                "models": st.lists(st.sampled_from(["*", "fra*", "[", "churn", "!(*"]), min_size=1, max_size=2),
                "tags": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
            },
        ),
        "match_conditions": st.lists(
            st.fixed_dictionaries({"name": names, "expression": expressions}), max_size=2, unique_by=lambda c: c["name"]
        ),
        "params": st.dictionaries(names, values, max_size=3),
        "variables": st.lists(st.fixed_dictionaries({"name": names, "expression": expressions}), max_size=3, unique_by=lambda v: v["name"]),
        "validations": st.lists(
            st.fixed_dictionaries(
                {"id": names, "expression": expressions},
                optional={
                    "message_expression": expressions,
                    "enforcement": st.sampled_from(["advisory", "soft", "hard"]),
                    "on_rollback": st.sampled_from(["skip", "check"]),
                    "hint": st.text(max_size=20),
                },
            ),
            min_size=1, max_size=3, unique_by=lambda rule: rule["id"],
        ),
        "tests": st.lists(
            st.fixed_dictionaries(
                {"name": st.text(max_size=10), "expect": st.dictionaries(names, st.sampled_from(["pass", "fail", "error"]), min_size=1)},
                optional={"set": st.dictionaries(facts_named, values, max_size=2), "unset": st.lists(facts_named, max_size=2)},
            ),
            max_size=2,
        ),
    }
)  # fmt: skip
QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def written(found: list[dict[str, Any]]) -> Files:
    """Return policies as files; tests expect something of rules that are there."""
    files: Files = {}
    for at, said in enumerate(found):
        ids = {rule["id"] for rule in said["validations"]}
        tests = [
            {**test, "expect": {r: came for r, came in test["expect"].items() if r in ids}} for test in said["tests"]
        ]
        document = {
            "kind": "Policy",
            "schema_version": 1,
            "name": f"p{at}",
            **said,
            "tests": [test for test in tests if test["expect"]],
        }
        files = {**files, f"policies/p{at}.yaml": json.dumps(document, ensure_ascii=False).encode()}
    return files


def judged(before: Snapshot, files: Files, facts: Facts, *, shuffled: int | None = None) -> Report:
    """Return what a check says of files on top of a snapshot, whatever their order."""
    order = sorted(files)
    if shuffled is not None:
        random.Random(shuffled).shuffle(order)
    after = before.with_edits({path: files[path] for path in order})
    changed = [
        PathChange(
            p, FILE_MODE if before.oid(p) else "", FILE_MODE if after.oid(p) else "", before.oid(p), after.oid(p)
        )
        for p in order
    ]
    return check(before, after, changed, lambda _after, _changes, _models=None: facts, ENGINE)


def is_told(report: Report) -> None:
    """Everything that is said is said in lines, and as data."""
    for finding in report.findings:
        assert "\n" not in finding.message + finding.hint
    json.dumps(report.to_json())
    assert set(report.refusals(ADVICE)) <= set(report.refusals(DECISION))


def refused_at(text: str) -> int | None:
    try:
        parse(text)
    except NotUnderstood as error:
        return error.offset
    return None


OPENINGS = {
    "(": ")",
    "[": "]",
    "f(": ")",
    "{1: ": "}",
    "a[": "]",
    "!(": ")",
    "-(": ")",
    "a.all(x, ": ")",
    "true ? (": ") : 1",
    "[1].map(x, ": ")",
}
OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "%",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "!",
    "-",
    " ? 1 : ",
    ".a",
    "['a']",
    "[0]",
    ".f()",
    ".map(x, x)",
    "(",
    ")",
    ",",
)
chains = st.lists(
    st.tuples(st.sampled_from(OPERATORS), st.integers(1, 990), st.sampled_from(["", "1", "a"])), min_size=1, max_size=4
)
brackets = st.lists(st.tuples(st.sampled_from(sorted(OPENINGS)), st.integers(1, 60)), max_size=3)


@given(chains, brackets, brackets)
@settings(max_examples=120, deadline=None)
def test_chains_and_brackets_of_any_length_are_understood_or_refused(
    links: list[tuple[str, int, str]], outside: list[tuple[str, int]], inside: list[tuple[str, int]]
) -> None:
    def within(text: str, found: list[tuple[str, int]]) -> str:
        for opening, times in found:
            text = opening * times + text + OPENINGS[opening] * times
        return text

    chain = within("a", inside) + "".join(f"{sign}{operand}" * times for sign, times, operand in links)
    for text in (within(chain, outside), within(chain, outside)[:2_000], within("a", [*inside, *outside])):
        if refused_at(text) is None:
            assert len(list(reads(parse(text)))) + len(shown_parts(parse(text))) > 0


@given(expressions)
@settings(max_examples=120, deadline=None)
def test_an_expression_is_understood_or_refused_at_a_place_in_it(text: str) -> None:
    at = refused_at(text)
    if at is not None:
        assert 0 <= at <= len(text)
        return
    node = parse(text)
    assert all(0 <= offset < len(text) for _, offset in reads(node))
    for part in shown_parts(node):
        assert 0 <= part.start < part.end <= len(text)
        parse(text[part.start : part.end])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_are_a_policy_or_an_error_of_ours(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([Policy, Waiver]))
    whole = b"kind: Policy\nschema_version: 1\nname: x\nparams: {a: 1}\nvalidations:\n- {id: a, expression: 'true'}\n"
    cut = data.draw(st.integers(0, len(whole)))
    content = (
        whole[:cut]
        + data.draw(st.binary(max_size=12) | st.text(max_size=12).map(str.encode))
        + whole[data.draw(st.integers(cut, len(whole))) :]
    )
    with suppress(ManifestError):
        parse_manifest(content, "policies/x.yaml", kind)


@given(found=st.lists(policies, min_size=1, max_size=4), facts=st.sampled_from([FOUND, NOT_FOUND]))
@QUICK
def test_a_change_that_writes_any_policies_gets_a_report(
    court: World, found: list[dict[str, Any]], facts: Facts
) -> None:
    before = court.registry.place.snapshot("main")
    is_told(judged(before, {**written(found), **promoted(court, 3)}, facts))


@given(found=st.lists(policies, min_size=1, max_size=4), facts=st.sampled_from([FOUND, NOT_FOUND]))
@settings(parent=QUICK, max_examples=8)
def test_a_change_under_any_policies_gets_the_same_report_twice_whatever_the_order(
    court: World, found: list[dict[str, Any]], facts: Facts
) -> None:
    before = court.registry.place.snapshot("main").with_edits(written(found))
    files = {
        **promoted(court, 3),
        "policies/later.yaml": next(iter(proven("later").values())),
        "notes.txt": b"x",
        "policies/floors.yaml": None,
    }
    one, two = (judged(before, files, facts, shuffled=seed) for seed in (None, 1))
    assert (one.findings, one.verdicts, one.moves, one.changes) == (two.findings, two.verdicts, two.moves, two.changes)
    is_told(one)
    for verdict in one.verdicts:
        if verdict.is_in_the_way:
            rule = f"{verdict.policy}/{verdict.rule}"
            assert rule in {finding.rule for finding in one.refusals(DECISION)}


@given(found=st.lists(policies, min_size=1, max_size=3))
@QUICK
def test_any_policies_can_be_explained(court: World, found: list[dict[str, Any]]) -> None:
    before = court.registry.place.snapshot("main").with_edits(written(found))
    after = before.with_edits(promoted(court, 3))
    changed = [PathChange(p, FILE_MODE, FILE_MODE, before.oid(p), after.oid(p)) for p in promoted(court, 3)]
    changes: list[Change] = diff(before, after, changed)
    judgement = Judgement(before, after, changes, changed, FOUND, before.constitution, before.access, ("fraud",), ())
    asked = next(one for one in subjects(judgement) if one.reference == Reference("fraud", 3))
    book = rulebook(before)
    told = explained(judgement, asked, book, ENGINE)
    assert [one.policy for one in told] == [sheet.name for sheet in book.sheets]
    json.dumps([one.to_json() for one in told])


@given(found=st.lists(policies, min_size=1, max_size=3))
@settings(parent=QUICK, max_examples=8)
def test_a_whole_registry_with_any_policies_gets_a_report(court: World, found: list[dict[str, Any]]) -> None:
    place = court.registry.place
    after = place.snapshot("main").with_edits(written(found))
    files = [*place.files("main"), *(PathChange(p, "", FILE_MODE, "", after.oid(p)) for p in written(found))]
    one, two = (check_whole(after, some, lambda _a, _c, _m=None: FOUND, ENGINE) for some in (files, files[::-1]))
    assert (one.findings, one.verdicts) == (two.findings, two.verdicts)
    is_told(one)


READS_ALL = json.dumps(
    {
        "kind": "Policy", "schema_version": 1, "name": "all", "match": {"events": ["stage_transition", "version_registered", "card_updated"]},
        "validations": [
            {"id": f"r{at}", "expression": text, "message_expression": "string(candidate.version)"}
            for at, text in enumerate((*GOOD[:6], "keys(candidate.params).all(k, string(candidate.params[k]) != 'x')", "candidate.card.tags.size() < 9",
                                       "keys(candidate.metrics).all(k, candidate.metrics[k] < 1.0)", "candidate.author.name.matches('^[A-Z]')"))
        ],
        "params": {"a": True},
    }
).encode()  # fmt: skip


@given(
    params=st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                           | st.text(max_size=20) | st.lists(st.integers(), max_size=3).map(tuple), max_size=4),
    metrics=st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    tags=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3),
    words=st.text(max_size=60),
    number=st.integers(0, 2**80),
)  # fmt: skip
@QUICK
def test_whatever_a_version_says_it_is_judged(
    court: World, params: dict[str, Any], metrics: dict[str, float], tags: dict[str, str], words: str, number: int
) -> None:
    before = court.registry.place.snapshot("main").with_edits({"policies/all.yaml": READS_ALL})
    version = before.known_version(Reference("fraud", 3))
    artifact = version.artifacts[0].model_copy(update={"size": number})
    author = version.author.model_copy(update={"name": words})
    path, card = paths.version_path("fraud", 3), paths.card_path("fraud", 3)
    try:
        files: Files = {
            path: dump(version.model_copy(update={"params": params, "metrics": metrics, "artifacts": (artifact,), "author": author}), path),
            card: dump(before.card("fraud", 3).model_copy(update={"tags": tags, "limitations": words}), card),
        }  # fmt: skip
    except RegistryError:
        return
    report = judged(before, {**files, **promoted(court, 3)}, FOUND)
    is_told(report)
    if any(finding.rule == "schema" for finding in report.findings):
        return
    assert {verdict.rule for verdict in report.verdicts if verdict.policy == "all"} == {f"r{at}" for at in range(10)}
    assert "immutable" in {finding.rule for finding in report.refusals(DECISION)}


@pytest.mark.parametrize("key", ["\0time", "\x1b[31m", "a\nb", "日本", "'", '"', "__proto__", "🙂"])
def test_a_key_of_any_signs_is_judged_as_any_other(court: World, key: str) -> None:
    before = court.registry.place.snapshot("main").with_edits({"policies/all.yaml": READS_ALL})
    path = paths.version_path("fraud", 3)
    version = before.known_version(Reference("fraud", 3)).model_copy(update={"params": {key: "x"}})
    report = judged(before, {path: dump(version, path), **promoted(court, 3)}, FOUND)
    is_told(report)
    assert "immutable" in {finding.rule for finding in report.findings}
