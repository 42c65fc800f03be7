"""Pushes of manifests that are traps for whoever reads them, and of bytes that are not the registered ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fortress import Case, Server, Table, accept, refuse
from workshop import Change, Workshop

from gitops_registry import edits, paths
from gitops_registry.manifest.facts import Artifact
from gitops_registry.reference import Reference

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
MODEL = "models/fraud/model.yaml"
NEW = paths.version_path("fraud", 6)
SPELLED = "d131dd02c5e6eec4693d9a0698aff95c2fcab5{}712467eab4004583eb8fb7f8955ad340609f4b30283e4888325{}1415a085125e8f7cdc99fd91dbd{}280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2{}487da03fd02396306d248cda0e99f33420f577ee8ce54b67080{}80d1ec69821bcb6a8839396f965{}b6ff72a70"
GOOD = bytes.fromhex(SPELLED.format("8", "7", "f", "b", "a", "2"))
EVIL = bytes.fromhex(SPELLED.format("0", "f", "7", "3", "2", "a"))
"""Two files with one MD5 (Wang and others, 2004)."""
CONTROL = r"control|printable|message"


def landed(shop: Workshop, files: Change, *, by: str = "bob") -> list[str]:
    """Files as they are in a proposal, and its merge."""
    head = shop.commit(shop.cast[by], files)
    return shop.pushes(head, shop.landing(shop.cast[by], head, tree=shop.forge.edited(head, {})))


def registered(shop: Workshop, more: Change, **how: object) -> list[str]:
    """A version that is registered directly, with some of its files changed."""
    return shop.pushes("", shop.commit(shop.dan, {**shop.registration("fraud"), **more}, **how))  # type: ignore[arg-type]


def state(shop: Workshop) -> bytes:
    """What model.yaml holds."""
    found = shop.at().read(MODEL)
    assert found is not None
    return found


def facts(shop: Workshop) -> bytes:
    """What version.yaml of the next version holds."""
    found = shop.registration("fraud")[NEW]
    assert isinstance(found, bytes)
    return found


# ── traps for readers


@TABLE.attack("bob", r"alias|anchor", ssh=True)
def a_manifest_that_expands_to_billions(shop: Workshop) -> list[str]:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return landed(shop, {MODEL: state(shop) + bomb.encode()})


@TABLE.attack("bob", r"twice|duplicate")
def a_key_that_stands_there_twice(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"stages:\n  production: [5]\n"})


@TABLE.attack("bob", r"MiB|large|bytes", ssh=True)
def a_manifest_of_a_million_lines(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"# x\n" * 1_000_000})


@TABLE.attack("bob", r"deep|nest|levels")
def a_manifest_that_is_nested_too_deep(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"tags: " + b"[" * 20_000 + b"]" * 20_000 + b"\n"})


@TABLE.attack("bob", r"tag|!!")
def a_manifest_that_builds_an_object(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"tags: !!python/object/apply:os.system [id]\n"})


@TABLE.attack("bob", r"merge|<<")
def a_manifest_that_merges_keys(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"tags: {<<: {a: b}}\n"})


@TABLE.attack("bob", r"UTF-8|utf-8|read|character")
def a_manifest_that_is_no_text(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"title: \xff\xfe\n"})


@TABLE.attack("bob", r"document|kind|once|second")
def a_manifest_of_two_documents(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"---\nkind: Model\nname: fraud\n"})


@TABLE.attack("bob", r"unknown|no field|extra|not know")
def a_field_that_nobody_knows(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop) + b"approved: true\n"})


@TABLE.attack("bob", r"folder")
def a_manifest_of_another_model(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: state(shop).replace(b"name: fraud", b"name: churn")})


@TABLE.attack("dan", r"finite|number|nan")
def a_metric_that_is_no_number(shop: Workshop) -> list[str]:
    return registered(shop, {NEW: facts(shop).replace(b"accuracy: 0.95", b"accuracy: .nan")})


@TABLE.attack("dan", r"count up|should be 6")
def a_number_that_was_skipped(shop: Workshop) -> list[str]:
    moved = {path.replace("versions/6/", "versions/9/"): data for path, data in shop.registration("fraud").items()}
    return shop.pushes("", shop.commit(shop.dan, moved))


# ── words that act on whoever reads them


@TABLE.attack("dan", CONTROL, ssh=True)
def a_message_that_clears_the_terminal(shop: Workshop) -> list[str]:
    return registered(shop, {}, message="\x1b[2J\x1b]0;pwned\x07all is well")


@TABLE.attack("dan", rf"{CONTROL}|author|name")
def an_author_who_clears_the_terminal(shop: Workshop) -> list[str]:
    return registered(shop, {}, author="\x1b[2JDan <dan@example.com>")


@TABLE.attack("bob", rf"{CONTROL}|bob may not administer")
def a_message_that_clears_the_terminal_of_whoever_is_told_why(shop: Workshop) -> list[str]:
    head = shop.commit(shop.bob, {"x\x1b[2J": b"x"}, message="\x1b[2J\r\nremote: all is well")
    return shop.pushes(head, shop.landing(shop.bob, head, tree=shop.forge.edited(head, {}), message="\x9b2J"))


@TABLE.attack("dan", r"rendered card|card")
def a_card_with_a_script_that_was_rendered_by_hand(shop: Workshop) -> list[str]:
    page = paths.rendered_card_path("fraud", 6)
    written = shop.registration("fraud")[page]
    assert isinstance(written, bytes)
    return registered(shop, {page: written + b"<script>alert(1)</script>\n"})


@TABLE.attack("dan", r"message has 1,0\d\d,\d+ bytes")
def a_message_of_a_megabyte(shop: Workshop) -> list[str]:
    return registered(shop, {}, message="x" * (1 << 20))


# ── bytes


@TABLE.attack("bob", r"removed or replaced|name says", ssh=True)
def bytes_are_swapped_behind_an_unchanged_pointer(shop: Workshop) -> list[str]:
    return landed(shop, {_object(shop): b"evil bytes"})


@TABLE.attack("alice", r"removed or replaced")
def bytes_are_taken_away(shop: Workshop) -> list[str]:
    return landed(shop, {_object(shop): None}, by="alice")


@TABLE.attack("bob", r"removed or replaced|damaged")
def bytes_with_the_same_md5_take_the_place_of_others(shop: Workshop) -> list[str]:
    brought = shop.commit(shop.dan, shop.registration("fraud", payload=GOOD))
    head = shop.commit(shop.bob, {paths.store_path(_md5()): EVIL}, base=brought)
    merge = shop.landing(shop.bob, head, base=brought, tree=shop.forge.edited(head, {}))
    return shop.pushes(head, merge)


@TABLE.attack("dan", r"damaged", ssh=True)
def bytes_with_the_same_md5_are_registered_for_others(shop: Workshop) -> list[str]:
    return shop.pushes(
        "", shop.commit(shop.dan, {**shop.registration("fraud", payload=GOOD), paths.store_path(_md5()): EVIL})
    )


@TABLE.attack("dan", r"missing")
def bytes_are_promised_and_not_brought(shop: Workshop) -> list[str]:
    new = shop.registration("fraud", payload=b"never seen")
    return shop.pushes("", shop.commit(shop.dan, {p: c for p, c in new.items() if not p.startswith(".dvc/")}))


@TABLE.attack("dan", r"name says")
def bytes_lie_under_another_name_than_theirs(shop: Workshop) -> list[str]:
    new = shop.registration("fraud", payload=b"what is promised")
    other = {path: b"something else" for path in new if path.startswith(".dvc/")}
    return shop.pushes("", shop.commit(shop.dan, {**new, **other}))


@TABLE.attack("dan", r"no version|no file of a registry")
def bytes_that_no_version_brings(shop: Workshop) -> list[str]:
    junk = b"junk" * 100
    return registered(shop, {paths.store_path(hashlib.md5(junk).hexdigest()): junk})


@TABLE.attack("alice", r"never change", ssh=True)
def a_registered_fact_is_changed_by_an_administrator(shop: Workshop) -> list[str]:
    path = paths.version_path("fraud", 5)
    old = shop.at().read(path)
    assert old is not None
    return landed(shop, {path: old.replace(b"accuracy: 0.5", b"accuracy: 0.99")}, by="alice")


@TABLE.attack("bob", r"never change")
def a_pointer_is_changed_after_it_was_registered(shop: Workshop) -> list[str]:
    one, other = (paths.pointer_path("fraud", n, "model.bin") for n in (5, 3))
    return landed(shop, {one: shop.at().read(other)})


@TABLE.attack("bob", r"never change|dan may not|evaluation")
def bytes_of_a_serving_version_are_swapped_with_all_that_speaks_of_them(shop: Workshop) -> list[str]:
    before = shop.at()
    mine, theirs = (paths.version_folder("fraud", n) for n in (1, 5))
    swapped = {path.replace(theirs, mine): before.read(path) for path in before.files(theirs)}
    return landed(shop, swapped)


def _md5() -> str:
    assert hashlib.md5(GOOD).digest() == hashlib.md5(EVIL).digest()
    assert GOOD != EVIL
    return hashlib.md5(GOOD).hexdigest()


def _object(shop: Workshop) -> str:
    version = shop.at().known_version(Reference("fraud", 1))
    return paths.store_path(version.artifacts[0].md5)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_it_is_read_and_refused(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_it_is_read_and_refused_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


def test_markup_in_words_is_text(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.dan, *registered(shop, {}, message="<script>alert(1)</script> & ](javascript:x) 信用"))
    words = shop.commit(shop.bob, edits.describe_model(shop.at(), "churn", tags={}, description="<script>x</script>"))
    made = copy.refs["refs/heads/main"]
    accept(copy, shop, shop.bob, *shop.pushes(words, shop.landing(shop.bob, words, base=made)))


def test_the_same_bytes_are_registered_twice(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    one = shop.commit(shop.dan, shop.registration("fraud", payload=GOOD))
    two = shop.commit(shop.dan, shop.registration("churn", payload=GOOD, base=one), base=one)
    accept(copy, shop, shop.dan, f"{two}:refs/heads/main")


def test_a_folder_of_facts_may_name_two_artifacts(server: Server, shop: Workshop, tmp_path: Path) -> None:
    copy = server.copy(tmp_path / "copy.git")
    data = [b"one" * 50, b"two" * 50]
    artifacts = tuple(
        Artifact(
            name=name, file=f"{name}.bin", format="bytes", size=len(one), md5=hashlib.md5(one).hexdigest(),
            sha256=hashlib.sha256(one).hexdigest(),
        )
        for name, one in zip(("model", "more"), data, strict=True)
    )  # fmt: skip
    new = shop.registration("fraud", payload=data[0], artifacts=artifacts)
    new[paths.store_path(artifacts[1].md5)] = data[1]
    accept(copy, shop, shop.dan, f"{shop.commit(shop.dan, new)}:refs/heads/main")
