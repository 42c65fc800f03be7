"""Policies as findings: what stands in the way of a change, what was lifted, and what nobody could judge.

Policies, waivers and what they match are those of the base. What a change writes into policies is tried here too, so that a
rule that cannot work is found before it is relied upon; it judges nothing yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from gitops_registry import paths
from gitops_registry.comparison import compare
from gitops_registry.errors import RegistryError
from gitops_registry.policy import invariants, trials
from gitops_registry.policy.applying import Applied, Question, Work, ask, came_of, match_problem
from gitops_registry.policy.engine import Engine
from gitops_registry.policy.facts import champion_of, origin
from gitops_registry.policy.keeping import stage_named
from gitops_registry.policy.report import Finding, Judgement, Move, Spot, Verdict
from gitops_registry.policy.rulebook import Rulebook, Sheet, rulebook
from gitops_registry.policy.subjects import Subject, subjects
from gitops_registry.reference import Reference, did_you_mean
from gitops_registry.snapshot import Snapshot


@dataclass(frozen=True)
class Ruling:
    """What the policies say of a change or of a registry: findings, and a verdict for each rule of each that applied.

    `is_whole`: no limit ended anything, so that they would say the same again.
    """

    findings: tuple[Finding, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    is_whole: bool = True


def ruling(
    judgement: Judgement, engine: Engine, asked: Sequence[Subject] | None = None, *, is_tried: bool = True
) -> Ruling:
    """Return what the policies of the base say of some versions, and what is wrong with policies that the change writes.

    Without `asked` the versions are those of the judgement. Of a registry as it stands, all its policies are tried; none where
    nobody wants to know that.
    """
    book = rulebook(judgement.before or judgement.after)
    new = rulebook(judgement.after, _written(judgement) if is_tried else frozenset())
    asked = subjects(judgement, book.events) if asked is None else asked
    work = Work()
    questions = [question for subject in asked for question in _asked(work, book, subject)]
    prepared = [one for sheet in new.sheets for one in trials.prepare(work, sheet)]
    run = work.run(engine)
    checked = {sheet.parsed.path: sheet.checked(run, work.programs) for sheet in new.sheets}
    problems = [finding for sheet in checked.values() for finding in sheet.problems]
    prepared = [one.of(checked[one.sheet.parsed.path]) for one in prepared]
    results = trials.tried(prepared, run, judgement.after)
    problems += trials.findings(tuple(checked.values()), results)
    applied: list[Applied] = []
    asking = {question.sheet.name for question in questions}
    judging = {sheet.parsed.path: sheet.checked(run, work.programs) for sheet in book.sheets if sheet.name in asking}
    for question in questions:
        sheet = judging[question.sheet.parsed.path]
        if sheet.problems:
            problems.append(_cannot_judge(sheet, question.subject))
        else:
            applied.append(came_of(question, run, judgement.after, book, judgement.facts.now))
    problems += [*_idle_waivers(judgement, new), *unknown_stages(judgement.after, new)]
    found = [*problems, *_broken(judgement, book, asked), *_unspoken(judgement, asked, applied)]
    meant = [one for one in applied if one.is_about]
    found += [
        finding for one in meant for verdict in one.verdicts for finding in _told(judgement, verdict, one.question)
    ]
    verdicts = [verdict for one in meant for verdict in one.verdicts]
    return Ruling(tuple(found), tuple(verdicts), run.is_whole)


def standing(judgement: Judgement, engine: Engine, came_back: Callable[[Reference, str], bool]) -> tuple[Verdict, ...]:
    """Return what refuses the versions that serve, of some models of a registry as it stands, were they to come there today.

    `came_back` says whether a version was put back into its stage; then rules that leave a rollback alone are not asked.
    Raises RegistryError where a policy cannot be read or worked out: then nothing is known.
    """
    asked = [replace(one, came_back=came_back(one.reference, one.stage)) for one in subjects(judgement)]
    if broken := [problem for problem in rulebook(judgement.after).broken if problem.result == "error"]:
        raise RegistryError(f"{broken[0].path} cannot be read: {broken[0].message}", hint=broken[0].hint)
    said = ruling(judgement, engine, asked, is_tried=False)
    if unclear := [one for one in said.findings if one.rule == "policies" and one.version]:
        raise RegistryError(unclear[0].message, hint=unclear[0].hint)
    return tuple(one for one in said.verdicts if one.enforcement != "advisory" and one.result in {"fail", "error"})


def _asked(work: Work, book: Rulebook, subject: Subject) -> Iterator[Question]:
    sheets = [sheet for sheet in book.sheets if not match_problem(sheet, subject)[0]]
    if not sheets:
        return
    facts, base = work.add_facts(subject.facts), work.add_facts(subject.base)
    was = None if subject.was is None else work.add_facts(subject.was)
    alone = replace(subject, names=subject.names[-1:])  # as the base calls it: a new name brings rules it never met
    for sheet in sheets:
        is_old = not match_problem(sheet, alone)[0]
        yield ask(work, sheet, subject, facts=facts, base=base, was=was if is_old else None)


def _written(judgement: Judgement) -> frozenset[str]:
    """The policies and waivers that the change writes; all of them where there is no change."""
    if judgement.before is None:
        return frozenset(
            f"{folder}/{name}"
            for folder in (paths.POLICIES, paths.WAIVERS)
            for name in judgement.after.children(folder)
        )
    return frozenset(change.path for change in judgement.changed if change.new_oid)


def _cannot_judge(sheet: Sheet, subject: Subject) -> Finding:
    first = sheet.problems[0]
    message = f"{sheet.name} is about it and cannot be worked out: {first.message}"
    hint = f"an administrator mends {first.where}"
    return Finding.error("policies", message, hint, Spot(first.path, first.line, first.column, *subject.reference))


def _broken(judgement: Judgement, book: Rulebook, asked: Sequence[Subject]) -> Iterator[Finding]:
    """A policy that cannot be read may be about any stage, so nothing passes it but the way back and the way out."""
    if judgement.before is None:
        return  # the rule `schema` tells it
    for problem in book.broken:
        if paths.place_of(problem.path).role == "waiver":
            continue  # it lifts nothing
        for subject in asked:
            if subject.is_serving or subject.stage not in judgement.law.ways_out:  # it may begin to serve with this
                message = f"{problem.path} may be about it and cannot be read: {problem.message}"
                yield Finding.error(
                    "policies",
                    message,
                    problem.hint,
                    Spot(problem.path, problem.line, problem.column, *subject.reference),
                )


def _idle_waivers(judgement: Judgement, new: Rulebook) -> Iterator[Finding]:
    """Waivers that are written and can lift nothing: no such rule, one that is not soft, or facts of no version."""
    if not new.waivers:
        return
    rules = {
        (sheet.name, rule.id): rule.enforcement
        for sheet in rulebook(judgement.after).sheets
        for rule in sheet.policy.validations
    }
    for name, waiver in new.waivers.items():
        wrong = [f"{waiver.policy}/{rule}" for rule in waiver.rules if rules.get((waiver.policy, rule)) != "soft"]
        numbers = judgement.after.versions(waiver.model)
        ids = {judgement.after.oid(paths.version_path(waiver.model, number)) for number in numbers}
        spot = Spot(paths.waiver_path(name), 1, 1, waiver.model)
        if wrong:
            yield Finding.warning(
                "waivers", f"lifts nothing of {', '.join(wrong)}, which is no soft rule here", "", spot
            )
        if waiver.version_yaml not in ids:
            hint = f"git rev-parse HEAD:{paths.version_path(waiver.model, 1).replace('/1/', '/NUMBER/')}"
            yield Finding.warning("waivers", f"is of no version of {waiver.model} that is here", hint, spot)


def unknown_stages(after: Snapshot, book: Rulebook) -> Iterator[Finding]:
    """Policies that are about a stage which the registry does not have: they would refuse nothing."""
    names = [stage.name for stage in after.constitution.stages]
    for sheet in book.sheets:
        for stage in sheet.policy.match.to:
            if stage not in names:
                line, column = sheet.parsed.position("match", "to")
                message = f"is about {stage!r}, which is no stage of registry.yaml, and refuses nothing there"
                spot = Spot(sheet.parsed.path, line, column)
                yield Finding.warning("policies", message, did_you_mean(stage, tuple(names)), spot)


def _unspoken(judgement: Judgement, asked: Sequence[Subject], applied: Sequence[Applied]) -> Iterator[Finding]:
    """A stage that serves takes no version that no policy speaks for: one that can refuse it, matched on the base."""
    speaking: dict[int, list[Applied]] = {}
    for one in applied:
        speaking.setdefault(id(one.question.subject), []).append(one)
    for subject in asked:
        if not subject.is_serving or subject.is_standing or subject.was is not None:
            continue
        spoken = [one for one in speaking.get(id(subject), ()) if one.is_about and one.speaks]
        if any(one.question.sheet.policy.is_binding for one in spoken):
            continue
        names = ", ".join(one.question.sheet.name for one in spoken)
        but = f" ({names} only advises)" if names else ""
        message = f"no policy speaks for {subject.stage}, so it is refused{but}"
        hint = f"an administrator adds one: gitops-registry policy new {subject.stage}-quality --to {subject.stage}"
        yield Finding.error("default-deny", message, hint, _spot(judgement, subject))


def _spot(judgement: Judgement, subject: Subject) -> Spot:
    """Where a finding about a version points: the line of `model.yaml` that moves it, else what was changed."""
    name, number = subject.reference
    change = subject.change
    if change is not None and change.kind not in {"stage_transition", "alias_set"} and change.paths:
        path = next((p.path for p in change.paths if p.new_oid), change.paths[0].path)
        return Spot(path, 1, 1, name, number)
    where = ("aliases", subject.alias) if subject.alias else ("stages", subject.stage)
    line, column = invariants.position(judgement, name, *where)
    return Spot(paths.model_path(name), line, column, name, number)


def _told(judgement: Judgement, verdict: Verdict, question: Question) -> Iterator[Finding]:
    """What people must read of a verdict; nothing of a rule that passes or is left out."""
    if verdict.result in {"pass", "skip"}:
        return
    subject = question.subject
    rule, spot = f"{verdict.policy}/{verdict.rule}", _spot(judgement, subject)
    message = verdict.message
    verdict = replace(verdict, needed=_filled(verdict.needed, judgement, subject))
    if verdict.result == "waived":
        yield Finding.warning(
            rule, f"WAIVED until {verdict.until} by {verdict.waiver}: {message}", "it counts again after that", spot
        )
    elif verdict.result == "not-checked":
        hint = "it is checked where that is known" if verdict.enforcement == "advisory" else "nothing passes unchecked"
        finding = Finding.unchecked(rule, "policies", message, hint, spot)
        yield finding if verdict.is_in_the_way else Finding.warning(rule, f"not checked: {message}", hint, spot)
    else:
        told = f"cannot be worked out: {message}" if verdict.result == "error" else message
        if verdict.is_in_the_way:
            yield Finding.error(rule, told, _needed(verdict), spot)
        else:
            yield Finding.warning(rule, told, verdict.needed, spot)


def _filled(hint: str, judgement: Judgement, subject: Subject) -> str:
    """Return a hint with NAME, VERSION, CANDIDATE, CHAMPION and STAGE as they are here."""
    last = champion_of(judgement, subject.reference.name, subject.stage)
    known = {
        "NAME": subject.reference.name, "VERSION": str(subject.reference.number), "CANDIDATE": str(subject.reference.number),
        "STAGE": subject.stage, "CHAMPION": str(last[1].number) if last else "",
    }  # fmt: skip
    return re.sub(r"\b(NAME|VERSION|CANDIDATE|CHAMPION|STAGE)\b", lambda word: known[word[0]] or word[0], hint)


def _needed(verdict: Verdict) -> str:
    """What would make it pass, as far as the policy says, and where to see why it does not."""
    version = f"{verdict.model}@{verdict.version}"
    steps = [verdict.needed] if verdict.needed else []
    if verdict.result == "error" and "candidate.measured" in verdict.message:
        data = f"gitops-registry evaluation set {verdict.model} FILE --target COLUMN"
        steps = [f"measure it: {data}; gitops-registry evaluate {version}"]
    if verdict.enforcement == "soft":
        rule = f"{verdict.policy}/{verdict.rule}"
        steps.append(f"an administrator waives it for a while: gitops-registry policy waive {version} {rule}")
    why = f"gitops-registry policy explain {version} --to {verdict.stage}" if verdict.stage else f"see {verdict.path}"
    return f"{'; or '.join(steps)} (why: {why})" if steps else why


def moves(judgement: Judgement) -> tuple[Move, ...]:
    """Return what a change moves into stages, each beside the stage's champion, in order of model and version."""
    found = []
    for change in judgement.changes:
        if change.kind != "stage_transition" or judgement.before is None:
            continue
        stage, version = str(change.after), judgement.after.version(change.model, change.version)
        if version is None or stage_named(judgement.law, stage) is None:
            continue
        home = origin(judgement, Reference(change.model, change.version)).name
        old = judgement.before.model(home)
        holders = tuple(sorted(old.stages.get(stage, ()))) if old else ()
        side, last = champion_of(judgement, change.model, stage) or (judgement.before, Reference(home, 0))
        facts = side.version(*last) if last.number != change.version else None
        rows = tuple(compare(facts, version)) if facts is not None else ()
        found.append(Move(change.model, change.version, stage, holders, last.number if facts else None, rows))
    return tuple(found)
