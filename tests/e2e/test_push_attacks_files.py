"""Pushes of files that are no plain files, or not where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from forging import EXECUTABLE, FILE, FOLDER, LINK, SUBMODULE, Draft
from fortress import Case, Server, Table, accept, refuse
from workshop import Change, Workshop

from gitops_registry import paths

pytestmark = pytest.mark.needs("signing")

TABLE = Table()
PLAIN = r"symbolic link|submodule|executable|plain file|mode"
STRANGER = r"is no file of a registry|no place"
ADMINISTER = r"bob may not administer"
GRAMMAR = r"must be 1 to 128|ASCII|name"
BAD_TREE = r"fsck|hasDot|dotdot|\.git|not sorted|duplicate|fullPathname|unpack|path|name"
POINTER = r"does not agree with version\.yaml"
MODEL = "models/fraud/model.yaml"


def landed(shop: Workshop, files: Change, *, by: str = "bob", approved: str = "") -> list[str]:
    """Files as they are in a proposal, and its merge."""
    head = shop.commit(shop.cast[by], files)
    tree = shop.forge.edited(head, {})
    if approved:
        head = shop.approval(shop.cast[approved], head)
    return shop.pushes(head, shop.landing(shop.cast[by], head, tree=tree))


def of_tree(shop: Workshop, tree: str) -> list[str]:
    """A tree that only a forger can write, in a proposal and its merge."""
    head = shop.forge.commit(shop.bob, Draft(tree, [shop.tip]))
    return shop.pushes(head, shop.landing(shop.bob, head, tree=tree))


def registered(shop: Workshop, more: Mapping[str, bytes | tuple[str, str] | None]) -> list[str]:
    """A version that is registered directly, with some of its files changed."""
    return shop.pushes("", shop.commit(shop.dan, {**shop.registration("fraud"), **more}))  # type: ignore[arg-type]


def beside(shop: Workshop, name: str, entry: tuple[str, str], *, is_sorted: bool = True) -> str:
    """The tree of the tip with one more entry at the top, whatever it is called."""
    told = shop.forge.git("ls-tree", shop.tip).decode()
    entries = [(line.split()[0], line.split("\t")[1], line.split()[2]) for line in told.splitlines()]
    return shop.forge.folder([(entry[0], name, entry[1]), *entries], is_sorted=is_sorted)


# ── modes


@TABLE.attack("bob", PLAIN, ssh=True)
def a_manifest_that_is_a_symbolic_link(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: (LINK, shop.forge.blob(b"../churn/model.yaml"))})


@TABLE.attack("bob", PLAIN)
def a_symbolic_link_to_the_servers_passwords(shop: Workshop) -> list[str]:
    return landed(shop, {"models/fraud/versions/4/card.yaml": (LINK, shop.forge.blob(b"/etc/passwd"))})


@TABLE.attack("bob", PLAIN)
def a_folder_of_a_model_that_is_a_symbolic_link(shop: Workshop) -> list[str]:
    return landed(shop, {"models/toy": (LINK, shop.forge.blob(b"fraud"))})


@TABLE.attack("bob", PLAIN)
def a_submodule_among_the_models(shop: Workshop) -> list[str]:
    return landed(shop, {"models/toy": (SUBMODULE, shop.tip)})


@TABLE.attack("bob", PLAIN, ssh=True)
def a_manifest_that_is_executable(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: (EXECUTABLE, shop.forge.files(shop.tip)[MODEL][1])})


@TABLE.attack("bob", rf"{PLAIN}|{BAD_TREE}", by_git=True)
def a_mode_that_git_does_not_write(shop: Workshop) -> list[str]:
    return landed(shop, {MODEL: ("100666", shop.forge.files(shop.tip)[MODEL][1])})


# ── paths


@TABLE.attack("bob", BAD_TREE, by_git=True)
def a_path_that_leaves_the_repository(shop: Workshop) -> list[str]:
    return of_tree(shop, beside(shop, "..", (FOLDER, shop.forge.tree({"evil": (FILE, shop.forge.blob(b"x"))}))))


@TABLE.attack("bob", BAD_TREE, by_git=True)
def a_path_into_the_git_directory(shop: Workshop) -> list[str]:
    hook = shop.forge.tree({"hooks/post-checkout": (FILE, shop.forge.blob(b"#!/bin/sh\n"))})
    return of_tree(shop, beside(shop, ".git", (FOLDER, hook)))


@TABLE.attack("bob", BAD_TREE, by_git=True)
def a_path_that_some_disks_take_for_the_git_directory(shop: Workshop) -> list[str]:
    hook = shop.forge.tree({"config": (FILE, shop.forge.blob(b"[core]\n"))})
    return of_tree(shop, beside(shop, ".g\u200cit", (FOLDER, hook)))


@TABLE.attack("bob", BAD_TREE, by_git=True)
def a_name_with_a_slash_in_it(shop: Workshop) -> list[str]:
    return of_tree(shop, beside(shop, "models/evil", (FILE, shop.forge.blob(b"x"))))


@TABLE.attack("bob", BAD_TREE, by_git=True)
def two_files_of_one_name(shop: Workshop) -> list[str]:
    return of_tree(shop, beside(shop, "registry.yaml", (FILE, shop.forge.blob(b"kind: Registry\n"))))


@TABLE.attack("bob", BAD_TREE, by_git=True)
def files_out_of_order(shop: Workshop) -> list[str]:
    return of_tree(shop, beside(shop, "zzz", (FILE, shop.forge.blob(b"x")), is_sorted=False))


@TABLE.attack("bob", STRANGER)
def a_path_of_hundreds_of_folders(shop: Workshop) -> list[str]:
    return landed(shop, {"models/" + "a/" * 300 + "b": b"x"})


@TABLE.attack("bob", STRANGER, ssh=True)
def a_path_that_a_terminal_acts_on(shop: Workshop) -> list[str]:
    return landed(shop, {"models/\x1b]0;pwned\x07\x1b[2J": b"x"})


@TABLE.attack("bob", STRANGER)
def a_path_that_writes_a_line_of_ours(shop: Workshop) -> list[str]:
    return landed(shop, {"models/x\nall is well, nothing was refused": b"x"})


@TABLE.attack("bob", STRANGER)
def a_path_that_is_not_utf8(shop: Workshop) -> list[str]:
    return landed(shop, {"models/fraud/\udcff": b"x"})


# ── names that look like others


@TABLE.attack("dan", r"case")
def a_model_that_differs_from_another_in_case(shop: Workshop) -> list[str]:
    return shop.pushes(
        "", shop.commit(shop.dan, {"models/Fraud/model.yaml": b"kind: Model\nschema_version: 2\nname: Fraud\n"})
    )


@TABLE.attack("dan", rf"{STRANGER}|case")
def a_file_that_differs_from_a_versions_card_in_case(shop: Workshop) -> list[str]:
    return registered(shop, {"models/fraud/versions/6/Card.yaml": b"kind: ModelCard\n"})


@TABLE.attack("dan", rf"{STRANGER}|{GRAMMAR}", ssh=True)
def a_model_with_a_letter_of_another_alphabet(shop: Workshop) -> list[str]:
    name = "fr\u0430ud"
    return shop.pushes(
        "",
        shop.commit(
            shop.dan, {f"models/{name}/model.yaml": f"kind: Model\nschema_version: 2\nname: {name}\n".encode()}
        ),
    )


@TABLE.attack("dan", rf"{STRANGER}|names|pointer")
def two_files_that_differ_in_how_a_letter_is_composed(shop: Workshop) -> list[str]:
    folder = "models/fraud/versions/6"
    return registered(
        shop, {f"{folder}/caf\u00e9.bin.dvc": b"outs: []\n", f"{folder}/cafe\u0301.bin.dvc": b"outs: []\n"}
    )


@TABLE.attack("bob", ADMINISTER)
def policies_that_some_disks_take_for_ours(shop: Workshop) -> list[str]:
    return landed(shop, {"Policies/access.yaml": b"kind: Access\n"})


@TABLE.attack("bob", ADMINISTER)
def policies_with_a_sign_that_nobody_sees(shop: Workshop) -> list[str]:
    return landed(shop, {"policies\u200b/floors.yaml": b"kind: Policy\n"})


@TABLE.attack("bob", ADMINISTER)
def a_path_that_another_system_splits(shop: Workshop) -> list[str]:
    return landed(shop, {"models\\fraud\\model.yaml": b"kind: Model\n"})


# ── what tells git and DVC what to do


@TABLE.attack("bob", ADMINISTER, ssh=True)
def a_filter_of_gits(shop: Workshop) -> list[str]:
    return landed(shop, {".gitattributes": b"* filter=evil\n"})


@TABLE.attack("bob", rf"{ADMINISTER}|{STRANGER}")
def a_filter_of_gits_among_the_models(shop: Workshop) -> list[str]:
    return landed(shop, {"models/fraud/.gitattributes": b"*.yaml filter=evil\n"})


@TABLE.attack("bob", rf"{ADMINISTER}|gitmodules", by_git=True)
def an_address_for_submodules(shop: Workshop) -> list[str]:
    return landed(shop, {".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'})


@TABLE.attack("bob", ADMINISTER, ssh=True)
def another_store_for_all_bytes(shop: Workshop) -> list[str]:
    return landed(shop, {paths.DVC_CONFIG: b"[core]\n    remote = evil\n['remote \"evil\"']\n    url = s3://evil\n"})


@TABLE.attack("alice", r"administrator of 2 agreed")
def another_store_for_all_bytes_by_one_administrator_alone(shop: Workshop) -> list[str]:
    return landed(
        shop, {paths.DVC_CONFIG: b"[core]\n    remote = evil\n['remote \"evil\"']\n    url = s3://evil\n"}, by="alice"
    )


@TABLE.attack("bob", ADMINISTER)
def a_workflow_that_runs_on_the_forge(shop: Workshop) -> list[str]:
    return landed(shop, {".github/workflows/evil.yml": b"on: push\n"})


@TABLE.attack("bob", ADMINISTER)
def other_owners_of_the_code(shop: Workshop) -> list[str]:
    return landed(shop, {"docs/CODEOWNERS": b"* @mallory\n"})


@TABLE.attack("bob", ADMINISTER)
def another_template_for_cards(shop: Workshop) -> list[str]:
    return landed(shop, {"cards/templates/card.md.j2": b"{{ ''.__class__ }}\n"})


@TABLE.attack("bob", ADMINISTER)
def a_pipeline_of_dvcs(shop: Workshop) -> list[str]:
    return landed(shop, {"dvc.yaml": b"stages: {x: {cmd: touch pwned}}\n"})


# ── pointers


@TABLE.attack("dan", POINTER)
def a_pointer_with_an_absolute_path(shop: Workshop) -> list[str]:
    return _pointed(shop, "/etc/passwd")


@TABLE.attack("dan", POINTER, ssh=True)
def a_pointer_that_leaves_its_folder(shop: Workshop) -> list[str]:
    return _pointed(shop, "../../../../.git/hooks/post-checkout")


@TABLE.attack("dan", POINTER)
def a_pointer_that_runs_a_command(shop: Workshop) -> list[str]:
    path = paths.pointer_path("fraud", 6, "model.bin")
    written = shop.registration("fraud")[path]
    assert isinstance(written, bytes)
    return registered(shop, {path: written + b"cmd: touch pwned\n"})


@TABLE.attack("dan", POINTER)
def a_pointer_to_other_bytes(shop: Workshop) -> list[str]:
    other = shop.at().read(paths.pointer_path("fraud", 5, "model.bin"))
    assert other is not None
    return registered(shop, {paths.pointer_path("fraud", 6, "model.bin"): other})


@TABLE.attack("dan", r"version\.yaml does not name|pointer")
def one_pointer_too_many(shop: Workshop) -> list[str]:
    other = shop.at().read(paths.pointer_path("fraud", 5, "model.bin"))
    return registered(shop, {paths.pointer_path("fraud", 6, "more.bin"): other})


@TABLE.attack("dan", r"plain file name")
def an_artifact_that_leaves_its_folder(shop: Workshop) -> list[str]:
    path = paths.version_path("fraud", 6)
    written = shop.registration("fraud")[path]
    assert isinstance(written, bytes)
    return registered(shop, {path: written.replace(b"file: model.bin", b"file: ../../../x")})


@TABLE.attack("bob", ADMINISTER)
def a_pointer_outside_every_model(shop: Workshop) -> list[str]:
    return landed(shop, {"evil.dvc": b"outs:\n- md5: " + b"0" * 32 + b"\n  path: /etc/passwd\n"})


def _pointed(shop: Workshop, where: str) -> list[str]:
    path = paths.pointer_path("fraud", 6, "model.bin")
    written = shop.registration("fraud")[path]
    assert isinstance(written, bytes)
    return registered(shop, {path: written.replace(b"path: model.bin", f"path: {where}".encode())})


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_only_plain_files_where_they_belong(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="file")


@pytest.mark.needs("ssh")
@pytest.mark.parametrize("case", TABLE.rows("ssh"), ids=lambda case: case.name)
def test_only_plain_files_where_they_belong_over_ssh(case: Case, server: Server, shop: Workshop) -> None:
    refuse(server, shop, case, road="ssh")


# ── the same, done properly


@pytest.mark.parametrize(
    ("path", "data"),
    [(".gitattributes", b"*.md text\n"), (".github/workflows/check.yml", b"on: push\n"), ("README.md", b"# ours\n")],
)
def test_two_administrators_may_change_what_is_no_model(
    path: str, data: bytes, server: Server, shop: Workshop, tmp_path: Path
) -> None:
    copy = server.copy(tmp_path / "copy.git")
    accept(copy, shop, shop.alice, *landed(shop, {path: data}, by="alice", approved="carol"))
