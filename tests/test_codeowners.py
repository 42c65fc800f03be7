"""Whom a forge asks: those who may decide and nobody else, written from the members and kept fresh."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import permutations

import pytest
from builder import World, errors
from hypothesis import given
from hypothesis import strategies as st
from members import files, member

from gitops_registry.access import holds
from gitops_registry.codeowners import GOVERNED, HEADING, codeowners, is_ours
from gitops_registry.manifest.members import Access, Identity, Member
from gitops_registry.paths import ACCESS, CODEOWNERS
from gitops_registry.policy.report import Finding, Report

ALICE = member("alice", "admin", login="alice")
BOB = member("bob", "ml_engineer", email="bob@example.com")
EVE = member("eve", "ml_engineer", login="eve", models=("fraud*",))
DAN = member("dan", "ml_engineer", login="Dan", models=("fraud-eu*", "churn"))
TEAM = (ALICE, BOB, EVE, DAN)
TEXT = """\
# Written from policies/access.yaml; change that with: gitops-registry access
* @alice
/models/ @alice bob@example.com
/cards/ @alice bob@example.com
/models/churn/ @alice @Dan bob@example.com
/cards/churn/ @alice @Dan bob@example.com
/models/fraud*/ @alice @eve bob@example.com
/cards/fraud*/ @alice @eve bob@example.com
/models/fraud-eu*/ @alice @Dan @eve bob@example.com
/cards/fraud-eu*/ @alice @Dan @eve bob@example.com
/policies/ @alice
/registry.yaml @alice
/.github/ @alice
/.dvc/ @alice
/.gitattributes @alice
/cards/templates/ @alice
/docs/CODEOWNERS @alice
"""


def written(*members: Member, **said: object) -> str:
    content = codeowners(Access.model_validate({"members": members, **said}))
    return content.decode() if content else ""


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")][1:]


def owners(text: str, path: str) -> set[str]:
    """Return the owners of a path as GitHub and GitLab find them: the last line that fits."""
    found: set[str] = set()
    for line in text.splitlines():
        pattern, *names = line.split()
        steps, parts = pattern.strip("/").split("/"), path.split("/")
        is_below = len(parts) > len(steps) if pattern.endswith("/") else len(parts) == len(steps)
        if pattern == "*" or (is_below and all(map(fnmatchcase, parts, steps))):
            found = set(names)
    return found


# ── what is written


@pytest.mark.parametrize("team", permutations(TEAM))
def test_the_lines_go_from_the_general_to_the_special_whatever_the_order_of_members(team: tuple[Member, ...]) -> None:
    assert written(*team) == TEXT


def test_a_person_is_called_by_their_first_login_else_by_their_e_mail() -> None:
    twice = Member(
        name="ann", role="admin", email="ann@example.com",
        identities=(Identity(forge="gitlab", login="ann-lab"), Identity(forge="github", login="ann-hub")),
    )  # fmt: skip
    assert owners(written(twice), "registry.yaml") == {"@ann-lab"}
    assert owners(written(member("ann", "admin", email="ann@example.com")), "x/y") == {"ann@example.com"}


def test_who_has_neither_is_named_in_a_comment_and_owns_nothing() -> None:
    text = written(ALICE, member("zoe", "admin"), member("yan", "ml_engineer", email="a#b@example.com"))
    assert comments(text) == ["# No login and no e-mail that a forge would take: yan, zoe"]
    assert owners(text, "models/fraud/model.yaml") == {"@alice"}
    assert comments(written(ALICE, member("vic", "viewer"))) == []


def test_services_and_those_who_only_read_or_write_own_nothing() -> None:
    assert written(member("bot", "admin", login="bot", kind="service")) == ""
    assert written(member("vic", "viewer", login="vic"), member("dan", "data_scientist", login="dan")) == ""
    assert written() == ""


def test_a_pattern_that_forges_read_otherwise_is_left_out_and_said() -> None:
    text = written(ALICE, member("eve", "ml_engineer", login="eve", models=("fr[au]*", "churn", "x[!y]")))
    assert comments(text) == ["# Patterns of eve that no line can say: fr[au]* x[!y]"]
    assert owners(text, "models/frau/model.yaml") == {"@alice"}
    assert owners(text, "models/churn/model.yaml") == {"@alice", "@eve"}


def test_without_anybody_who_administers_and_has_a_name_the_models_still_have_owners() -> None:
    text = written(member("zoe", "admin"), EVE)
    assert owners(text, "models/fraud-x/model.yaml") == {"@eve"}
    assert owners(text, "registry.yaml") == set()


def test_roles_count_by_what_they_may_and_not_by_what_they_are_called() -> None:
    roles = {"admin": ("read",), "boss": ("administer",), "shipper": ("deploy",)}
    text = written(member("a", "admin", login="a"), member("b", "boss", login="b"), member("s", "shipper", login="s"), roles=roles)  # fmt: skip
    assert owners(text, "models/x/model.yaml") == {"@s"}
    assert {name for path in GOVERNED for name in owners(text, path.rstrip("/") + "/x" * path.endswith("/"))} == {"@b"}


patterns = st.lists(st.text("ab*?", min_size=1, max_size=4), max_size=3, unique=True).map(tuple)
teams = st.lists(st.tuples(st.sampled_from(["admin", "ml_engineer", "viewer"]), patterns), max_size=4)


@given(teams, st.text("ab", min_size=1, max_size=4))
def test_nobody_owns_what_they_may_not_decide_and_whoever_is_for_all_models_is_always_asked(
    team: list[tuple[str, tuple[str, ...]]], model: str
) -> None:
    people = [
        member(f"m{n}", role, login=f"m{n}", models=() if role == "admin" else models)
        for n, (role, models) in enumerate(team)
    ]
    access = Access(members=tuple(people))
    text = written(*people)
    may = {f"@{one.name}" for one in people if holds(access, one.name, "deploy", model)}
    rule = {f"@{one.name}" for one in people if holds(access, one.name, "administer")}
    for path in (f"models/{model}/model.yaml", f"cards/{model}/v1.md"):
        asked = owners(text, path)
        if path.startswith("cards") and not rule:  # nobody is there for cards/templates, so nobody owns cards
            assert asked == set()
            continue
        assert asked <= may | (rule if not may else set())
        assert {f"@{one.name}" for one in people if f"@{one.name}" in may and not one.models} <= asked
    for path in (
        "cards/templates/x",
        "policies/waivers/w.yaml",
        "registry.yaml",
        ".dvc/store/files/x",
        "docs/CODEOWNERS",
    ):
        assert owners(text, path) == rule


# ── kept fresh


def said(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.rule == "codeowners"]


def test_a_hand_edit_of_the_members_alone_is_refused_with_the_command_that_mends_it(court: World) -> None:
    base = court.branch({**files(*TEAM), "docs/x.md": b"x"})
    (finding,) = said(court.judged({ACCESS: files(ALICE)[ACCESS]}, base=base))
    assert (finding.result, finding.path) == ("error", CODEOWNERS)
    assert finding.message == "is not what policies/access.yaml gives"
    assert finding.hint == "gitops-registry access codeowners > docs/CODEOWNERS"


@pytest.mark.parametrize(
    "content", [TEXT.encode() + b"* @mallory\n", TEXT.replace("\n", "\r\n").encode(), b"", b"\xff", None]
)
def test_owners_that_somebody_wrote_themselves_are_refused(court: World, content: bytes | None) -> None:
    base = court.branch(files(*TEAM))
    assert "codeowners" in errors(court.judged({CODEOWNERS: content}, base=base))


def test_members_with_the_owners_that_follow_from_them_are_accepted(court: World) -> None:
    assert said(court.judged(files(*TEAM))) == []
    base = court.branch(files(*TEAM))
    assert said(court.judged(files(ALICE, BOB), base=base)) == []


def test_a_change_of_something_else_is_not_stopped_by_stale_owners(court: World) -> None:
    base = court.branch({ACCESS: files(*TEAM)[ACCESS]})
    assert said(court.judged({"policies/waivers/note.txt": b"x"}, base=base)) == []


def test_the_whole_registry_is_told_that_there_are_none_and_where_to_put_them(court: World) -> None:
    (finding,) = said(court.registry.check(head=court.branch({ACCESS: files(*TEAM)[ACCESS]})))
    assert finding.message == "is missing: forges read there whom policies/access.yaml lets decide"
    assert finding.hint == "mkdir -p docs && gitops-registry access codeowners > docs/CODEOWNERS"
    assert said(court.registry.check(head=court.branch(files(*TEAM)))) == []


def test_nothing_is_asked_for_where_nobody_could_own_anything(court: World) -> None:
    assert said(court.registry.check(head="main")) == []
    assert said(court.judged({CODEOWNERS: b"* @somebody\n"})) == []
    assert said(court.judged(files(member("zoe", "admin")))) == []


def test_owners_of_ours_do_not_outlive_the_last_of_them(court: World) -> None:
    base = court.branch(files(*TEAM))
    (finding,) = said(court.judged({ACCESS: files(member("zoe", "admin"))[ACCESS]}, base=base))
    assert finding.hint == "git rm docs/CODEOWNERS"
    assert [one.hint for one in said(court.judged({ACCESS: None}, base=base))] == ["git rm docs/CODEOWNERS"]
    assert said(court.judged({ACCESS: None, CODEOWNERS: None}, base=base)) == []


@pytest.mark.parametrize("path", ["CODEOWNERS", ".github/CODEOWNERS"])
def test_a_file_that_forges_read_first_is_pointed_out(court: World, path: str) -> None:
    base = court.branch(files(*TEAM))
    (finding,) = said(court.judged({path: b"* @mallory\n"}, base=base))
    assert (finding.result, finding.path) == ("warning", path)


def test_only_what_was_written_from_members_is_ours() -> None:
    assert is_ours(TEXT.encode())
    assert is_ours((HEADING + "# and more\n* @x\n").encode())
    assert not is_ours(b"* @x\n" + HEADING.encode())
