"""The user's files when a branch moves: clean ones come along, everything of the user's stays and is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builder import World, git
from test_git_landing import MAIN, land, litter

from gitops_registry.errors import RegistryError
from gitops_registry.git import landing, worktree
from gitops_registry.git.landing import NO_COMMIT, move_branches, write_commit, writer
from gitops_registry.git.repository import Repository
from gitops_registry.snapshot import Content, Stored, blob_id


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A checkout of `main` with a few files."""
    git(tmp_path, "init", "--quiet", "checkout")
    repository = Repository.open(tmp_path / "checkout")
    land(repository, {"a.txt": b"one\n", "b.txt": b"two\n", "folder/deep/c.txt": b"three\n", "folder/d.txt": b"four\n"})
    assert status(repository) == []
    return repository


def root(repository: Repository) -> Path:
    assert repository.work_tree is not None
    return repository.work_tree


def status(repository: Repository) -> list[str]:
    return git(root(repository), "status", "--porcelain", "-uall").splitlines()


def kept(repository: Repository, edits: dict[str, Content | None]) -> list[str]:
    """Land edits and return the paths that were left alone."""
    tip = repository.tip(MAIN) or NO_COMMIT
    with writer(repository):
        commit, scratch = write_commit(repository, edits, parents=[tip], message="more\n")
        found = move_branches(repository, {MAIN: (tip, commit)}, scratch=scratch, follow=MAIN)
    assert litter(repository) == []
    return found


# ── clean files


def test_clean_files_come_along_and_empty_folders_go(here: Repository) -> None:
    edits = {"a.txt": b"ONE\n", "folder/deep/c.txt": None, "new/e f.txt": b"five\n", 'odd/"ü\\\n.txt': b"six\n"}
    assert kept(here, edits) == []
    assert status(here) == []
    assert (root(here) / "a.txt").read_text() == "ONE\n"
    assert (root(here) / 'odd/"ü\\\n.txt').read_text() == "six\n"
    assert not (root(here) / "folder/deep").exists()
    assert (root(here) / "folder/d.txt").exists()


def test_files_keep_their_modes_and_links_stay_links(here: Repository) -> None:
    assert kept(here, {"run": Stored(blob_id(b"one\n"), "100755"), "link": Stored(blob_id(b"two\n"), "120000")}) == []
    assert status(here) == []
    assert os.access(root(here) / "run", os.X_OK)
    assert os.readlink(root(here) / "link") == "two\n"
    assert kept(here, {"run": Stored(blob_id(b"two\n"), "100755"), "link": b"no link any more\n"}) == []
    assert os.access(root(here) / "run", os.X_OK)
    assert status(here) == []


def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(here: Repository) -> None:
    edits = {"folder/deep/c.txt": None, "folder/d.txt": None, "folder": b"file\n", "a.txt": None, "a.txt/x": b"x\n"}
    assert kept(here, edits) == []
    assert status(here) == []
    assert (root(here) / "folder").read_text() == "file\n"
    assert (root(here) / "a.txt/x").read_text() == "x\n"


def test_a_first_commit_fills_an_empty_checkout(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "fresh")
    (tmp_path / "fresh" / "mine.txt").write_text("mine\n")
    repository = Repository.open(tmp_path / "fresh")
    land(repository, {"a.txt": b"a\n"})
    assert status(repository) == ["?? mine.txt"]


def test_thousands_of_paths_fit(here: Repository) -> None:
    edits: dict[str, Content | None] = {f"many/{number:0150}": b"x" for number in range(2000)}
    assert kept(here, edits) == []
    assert status(here) == []
    assert kept(here, dict.fromkeys(edits)) == []
    assert not (root(here) / "many").exists()


def test_what_has_the_new_content_already_is_no_obstacle(here: Repository) -> None:
    (root(here) / "a.txt").write_text("ONE\n")
    (root(here) / "new.txt").write_text("new\n")
    (root(here) / "b.txt").unlink()
    git(root(here), "rm", "--quiet", "--cached", "b.txt")
    assert kept(here, {"a.txt": b"ONE\n", "new.txt": b"new\n", "b.txt": None}) == []
    assert status(here) == []


# ── the user's files


def test_edited_files_are_left_alone_and_named(here: Repository) -> None:
    (root(here) / "a.txt").write_text("mine\n")
    (root(here) / "b.txt").write_text("mine too\n")
    assert kept(here, {"a.txt": b"ONE\n", "b.txt": None, "folder/d.txt": b"FOUR\n"}) == ["a.txt", "b.txt"]
    assert (root(here) / "a.txt").read_text() == "mine\n"
    assert (root(here) / "b.txt").read_text() == "mine too\n"
    assert status(here) == [" M a.txt", "?? b.txt"]
    assert worktree.left_alone(here) == ["a.txt"]


def test_staged_edits_are_left_staged(here: Repository) -> None:
    (root(here) / "a.txt").write_text("staged\n")
    git(root(here), "add", "a.txt")
    git(root(here), "rm", "--quiet", "b.txt")
    (root(here) / "new.txt").write_text("staged new\n")
    git(root(here), "add", "new.txt")
    git(root(here), "update-index", "--chmod=+x", "folder/d.txt")
    edits = {"a.txt": b"ONE\n", "b.txt": b"TWO\n", "new.txt": b"NEW\n", "folder/d.txt": b"FOUR\n"}
    assert kept(here, edits) == sorted(edits)
    assert git(root(here), "show", ":a.txt") == "staged\n"
    assert git(root(here), "show", ":new.txt") == "staged new\n"
    assert not (root(here) / "b.txt").exists()
    assert "100755" in git(root(here), "ls-files", "-s", "folder/d.txt")


def test_an_edit_that_is_staged_and_taken_back_on_disk_is_still_the_users(here: Repository) -> None:
    (root(here) / "a.txt").write_text("staged\n")
    git(root(here), "add", "a.txt")
    (root(here) / "a.txt").write_text("one\n")
    assert kept(here, {"a.txt": b"ONE\n"}) == ["a.txt"]
    assert git(root(here), "show", ":a.txt") == "staged\n"
    assert (root(here) / "a.txt").read_text() == "one\n"


def test_untracked_files_and_folders_in_the_way_stay(here: Repository) -> None:
    (root(here) / "new.txt").write_text("untracked\n")
    (root(here) / "wanted").mkdir()
    (root(here) / "wanted/mine.txt").write_text("mine\n")
    (root(here) / "parent").write_text("a file\n")
    edits = {"new.txt": b"new\n", "wanted": b"a file\n", "parent/child.txt": b"child\n"}
    assert kept(here, edits) == ["new.txt", "parent/child.txt", "wanted"]
    assert (root(here) / "new.txt").read_text() == "untracked\n"
    assert (root(here) / "wanted/mine.txt").read_text() == "mine\n"
    assert (root(here) / "parent").read_text() == "a file\n"


def test_ignored_files_in_the_way_stay(here: Repository) -> None:
    (root(here) / ".git/info/exclude").write_text("secret.txt\n")
    (root(here) / "secret.txt").write_text("untracked and ignored\n")
    assert kept(here, {"secret.txt": b"theirs\n"}) == ["secret.txt"]
    assert (root(here) / "secret.txt").read_text() == "untracked and ignored\n"


def test_files_beyond_a_link_are_never_touched(here: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    os.rename(root(here) / "folder", outside)
    (root(here) / "folder").symlink_to(outside)
    assert kept(here, {"folder/d.txt": b"FOUR\n", "folder/deep/c.txt": None}) == ["folder/d.txt", "folder/deep/c.txt"]
    assert (outside / "d.txt").read_text() == "four\n"
    assert (outside / "deep/c.txt").read_text() == "three\n"


def test_a_link_in_place_of_a_file_stays_even_when_it_reads_the_same(here: Repository) -> None:
    (root(here) / "a.txt").unlink()
    (root(here) / "a.txt").symlink_to("one\n")  # the same bytes, and so the same id, as another kind of file
    assert kept(here, {"a.txt": b"ONE\n"}) == ["a.txt"]
    assert os.readlink(root(here) / "a.txt") == "one\n"


def test_a_file_made_executable_or_deleted_by_the_user_stays_so(here: Repository) -> None:
    (root(here) / "a.txt").chmod(0o755)
    (root(here) / "b.txt").unlink()
    assert kept(here, {"a.txt": b"ONE\n", "b.txt": b"TWO\n"}) == ["a.txt", "b.txt"]
    assert (root(here) / "a.txt").read_text() == "one\n"
    assert not (root(here) / "b.txt").exists()


def test_a_folder_that_the_user_replaced_by_a_file_stays_a_file(here: Repository) -> None:
    (root(here) / "folder/deep/c.txt").unlink()
    (root(here) / "folder/deep").rmdir()
    (root(here) / "folder/deep").write_text("mine\n")
    assert kept(here, {"folder/deep/c.txt": None}) == []
    assert (root(here) / "folder/deep").read_text() == "mine\n"


def test_a_removed_folder_keeps_what_else_lies_in_it(here: Repository) -> None:
    (root(here) / "folder/deep/mine.txt").write_text("mine\n")
    assert kept(here, {"folder/deep/c.txt": None, "folder/d.txt": None}) == []
    assert status(here) == ["?? folder/deep/mine.txt"]


def test_unrelated_work_of_the_user_is_untouched(here: Repository) -> None:
    (root(here) / "b.txt").write_text("dirty\n")
    (root(here) / "folder/d.txt").write_text("staged\n")
    git(root(here), "add", "folder/d.txt")
    (root(here) / "untracked.txt").write_text("u\n")
    before = status(here)
    assert kept(here, {"a.txt": b"ONE\n"}) == []
    assert status(here) == before == [" M b.txt", "M  folder/d.txt", "?? untracked.txt"]
    assert (root(here) / "a.txt").read_text() == "ONE\n"


def test_a_filter_that_fails_leaves_the_file_and_does_not_stop_the_landing(here: Repository) -> None:
    git(root(here), "config", "filter.broken.smudge", "false")
    git(root(here), "config", "filter.broken.required", "true")
    (root(here) / ".git/info/attributes").write_text("new.bin filter=broken\n")
    assert kept(here, {"new.bin": b"bytes\n", "a.txt": b"ONE\n"}) == ["new.bin"]
    assert (root(here) / "a.txt").read_text() == "ONE\n"


def test_a_sparse_checkout_stays_sparse(here: Repository) -> None:
    git(root(here), "sparse-checkout", "set", "--no-cone", "/a.txt")
    assert not (root(here) / "b.txt").exists()
    assert kept(here, {"a.txt": b"ONE\n", "b.txt": b"TWO\n", "folder/d.txt": None}) == []
    assert status(here) == []
    assert not (root(here) / "b.txt").exists()
    assert git(root(here), "show", ":b.txt") == "TWO\n"


def test_a_submodule_is_left_to_git(here: Repository, tmp_path: Path) -> None:
    git(root(here), "submodule", "--quiet", "add", here.folder.as_uri(), "sub")
    git(root(here), "commit", "--quiet", "-m", "a submodule")
    assert kept(here, {"a.txt": b"ONE\n"}) == []
    assert status(here) == []
    assert here.working_changes("HEAD") == []


# ── what stands in the way


@pytest.mark.parametrize(("verb", "arguments"), [("merge", ()), ("cherry-pick", ())])
def test_an_unfinished_merge_refuses_the_landing(here: Repository, verb: str, arguments: tuple[str, ...]) -> None:
    git(root(here), "switch", "--quiet", "-c", "side")
    (root(here) / "a.txt").write_text("side\n")
    git(root(here), "commit", "--quiet", "-am", "side")
    git(root(here), "switch", "--quiet", "main")
    (root(here) / "a.txt").write_text("main\n")
    git(root(here), "commit", "--quiet", "-am", "main")
    git(root(here), verb, "side", check=False)
    tip, before = here.tip(MAIN), status(here)
    with pytest.raises(RegistryError, match=f"a {verb} is in progress") as error:
        land(here, {"b.txt": b"TWO\n"})
    assert f"git {verb} --abort" in error.value.hint
    assert (here.tip(MAIN), status(here), litter(here)) == (tip, before, [])


def test_another_gits_lock_refuses_the_landing_and_reading_goes_on(here: Repository) -> None:
    lock = here.git_dir / "index.lock"
    lock.touch()
    tip = here.tip(MAIN)
    with pytest.raises(RegistryError, match="another git command is running") as error:
        land(here, {"b.txt": b"TWO\n"})
    assert str(lock) in error.value.hint
    assert here.tip(MAIN) == tip
    lock.unlink()
    assert litter(here) == []
    land(here, {"b.txt": b"TWO\n"})
    assert status(here) == []


def test_a_lock_taken_between_move_and_files_is_waited_out_by_the_next_command(
    here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = here.git_dir / "index.lock"
    with monkeypatch.context() as patch:
        patch.setattr(worktree, "refuse_unfinished_merge", lambda _: lock.touch())
        with pytest.raises(RegistryError, match="the branch moved, but another git command keeps"):
            land(here, {"b.txt": b"TWO\n"})
    assert here.source("main").read("b.txt", 9) == b"TWO\n"
    assert landing.is_unfinished(here)
    assert landing.finish(here) == []  # nobody waits, nothing is lost
    assert landing.is_unfinished(here)
    assert lock.exists()
    lock.unlink()
    landing.finish(here)
    assert status(here) == []
    assert (root(here) / "b.txt").read_text() == "TWO\n"
    assert litter(here) == []


# ── other checkouts


def test_a_user_on_another_branch_keeps_their_files(here: Repository) -> None:
    git(root(here), "switch", "--quiet", "-c", "side")  # the repository was opened on `main`
    (root(here) / "a.txt").write_text("dirty\n")
    assert kept(here, {"a.txt": b"ONE\n", "b.txt": None}) == []
    assert status(here) == [" M a.txt"]
    assert (root(here) / "b.txt").read_text() == "two\n"


def test_a_detached_head_keeps_its_files(here: Repository) -> None:
    git(root(here), "switch", "--quiet", "--detach")
    assert kept(here, {"a.txt": b"ONE\n"}) == []
    assert status(here) == []
    assert (root(here) / "a.txt").read_text() == "one\n"


def test_the_checkout_that_holds_the_branch_comes_along_wherever_the_command_runs(
    here: Repository, tmp_path: Path
) -> None:
    git(root(here), "worktree", "add", "--quiet", str(tmp_path / "a linked one"), "-b", "side")
    linked = Repository.open(tmp_path / "a linked one")
    (root(here) / "b.txt").write_text("mine\n")
    assert kept(linked, {"a.txt": b"ONE\n", "b.txt": b"TWO\n"}) == ["b.txt"]
    assert status(linked) == []
    assert (root(linked) / "a.txt").read_text() == "one\n"
    assert status(here) == [" M b.txt"]
    assert (root(here) / "a.txt").read_text() == "ONE\n"


def test_a_tag_named_like_the_branch_changes_nothing(here: Repository) -> None:
    git(root(here), "tag", "main")
    assert kept(here, {"a.txt": b"ONE\n"}) == []
    assert status(here) == []


def test_a_work_tree_whose_folder_is_gone_stops_nobody(here: Repository, tmp_path: Path) -> None:
    git(root(here), "worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "side")
    git(root(here), "symbolic-ref", "HEAD", "refs/heads/side")
    git(tmp_path / "linked", "symbolic-ref", "HEAD", MAIN)
    os.rename(tmp_path / "linked", tmp_path / "away")
    assert kept(here, {"a.txt": b"ONE\n"}) == []


def test_a_registry_in_a_linked_work_tree_works(world: World, tmp_path: Path) -> None:
    world.model("fraud").version().commit()
    world.git("switch", "--quiet", "-c", "elsewhere")
    world.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    linked = World.__new__(World)
    linked.root = tmp_path / "linked"
    linked.model("churn").version().commit()
    assert linked.git("status", "--porcelain") == world.git("status", "--porcelain") == ""
    assert linked.registry.place.snapshot().models() == ("churn", "fraud")


def test_hostile_paths_of_a_fetched_commit_never_leave_the_checkout(here: Repository, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("one\n")
    tip = here.tip(MAIN) or ""
    blob = blob_id(b"one\n")
    inner = here.run("mktree", "--missing", "-z", stdin=f"100644 blob {blob}\tvictim\0".encode()).strip()
    listing = here.run("ls-tree", "-z", tip) + f"040000 tree {inner}\t..\0"
    tree = here.run("mktree", "-z", stdin=listing.encode()).strip()
    evil = git(root(here), "commit-tree", tree, "-p", tip, "-m", "evil").strip()
    with writer(here):
        assert move_branches(here, {MAIN: (tip, evil)}, scratch="", follow=MAIN) == ["../victim"]
        assert move_branches(here, {MAIN: (evil, tip)}, scratch="", follow=MAIN) == ["../victim"]
    assert (tmp_path / "victim").read_text() == "one\n"


# ── every checkout, wherever it is


def more(repository: Repository) -> list[str]:
    return kept(repository, {"a.txt": b"more\n"})


def test_a_checkout_whose_git_directory_is_elsewhere_comes_along(here: Repository, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", f"--separate-git-dir={tmp_path / 'apart'}", str(root(here)), "clone")
    clone = Repository.open(tmp_path / "clone")
    assert more(clone) == []
    assert status(clone) == []


def test_a_checkout_whose_git_directory_is_a_link_comes_along(here: Repository, tmp_path: Path) -> None:
    (root(here) / ".git").rename(tmp_path / "moved")
    (root(here) / ".git").symlink_to(tmp_path / "moved")
    opened = Repository.open(root(here))
    assert more(opened) == []
    assert status(opened) == []


def test_a_linked_work_tree_with_a_line_break_in_its_path_comes_along(here: Repository, tmp_path: Path) -> None:
    odd = tmp_path / "two\nlines"
    git(root(here), "switch", "--quiet", "--detach")
    git(root(here), "worktree", "add", "--quiet", str(odd), "main")
    assert more(here) == []
    assert status(Repository.open(odd)) == []
    assert (odd / "a.txt").read_text() == "more\n"


def test_a_clone_that_checked_nothing_out_stays_like_that(here: Repository, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(root(here)), "clone")
    clone = Repository.open(tmp_path / "clone")
    before = status(clone)
    assert more(clone) == []
    assert status(clone) == before
    assert not landing.is_unfinished(clone)


def test_a_branch_is_checked_out_where_any_work_tree_has_it_or_rebases_it(here: Repository, tmp_path: Path) -> None:
    git(root(here), "branch", "side")
    assert worktree.is_checked_out(here, MAIN)
    assert not worktree.is_checked_out(here, "refs/heads/side")
    git(root(here), "worktree", "add", "--quiet", str(tmp_path / "linked"), "side")
    assert worktree.is_checked_out(here, "refs/heads/side")
    git(tmp_path / "linked", "switch", "--quiet", "--detach")
    assert not worktree.is_checked_out(here, "refs/heads/side")
    note = Repository.open(tmp_path / "linked").git_dir / "rebase-merge/head-name"
    note.parent.mkdir()
    note.write_text("refs/heads/side\n")
    assert worktree.is_checked_out(here, "refs/heads/side")
