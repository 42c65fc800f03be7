"""`release-tags`: each version's tag stands on the decision that registered it, is made once and never moved."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from builder import World, git

from gitops_registry import Registry


@pytest.fixture
def two(world: World, tmp_path: Path) -> tuple[World, Path]:
    """A registry of two models that follows a remote, and the remote."""
    world.model("fraud").version().version().in_stage("production").commit()
    world.model("churn").version().commit()
    world.commit({"README.md": b"more\n"}, "say more")
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(remote))
    world.git("remote", "add", "origin", str(remote))
    world.git("push", "--quiet", "-u", "origin", "main")
    return world, remote


def registering(world: World, model: str) -> str:
    return world.git("log", "--format=%H", "--grep", f"prepare {model}").strip()


def test_each_version_is_tagged_on_the_decision_that_registered_it(two: tuple[World, Path]) -> None:
    world, _ = two
    done = world.cli("release-tags")
    assert "3 tagged; 3 versions in all" in done.stdout
    for tag, model in (("fraud@1", "fraud"), ("fraud@2", "fraud"), ("churn@1", "churn")):
        assert world.git("cat-file", "-t", tag).strip() == "tag"
        assert world.git("rev-parse", f"{tag}^{{commit}}").strip() == registering(world, model)
        told = world.git("for-each-ref", "--format=%(taggerdate:unix) %(contents:subject)", f"refs/tags/{tag}").strip()
        assert told == world.git("log", "-1", "--format=%ct %s", tag).strip()
    assert not world.git("fsck", "--strict", check=False).strip()
    before = world.git("for-each-ref")
    assert "0 tagged" in world.cli("release-tags").stdout
    assert world.git("for-each-ref") == before


def test_a_dry_run_tags_nothing_and_says_the_same(two: tuple[World, Path]) -> None:
    world, remote = two
    told = json.loads(world.cli("release-tags", "--push", "--dry-run", "--json").stdout)
    assert told["made"] == told["pushed"] == ["churn@1", "fraud@1", "fraud@2"]
    assert told["dry_run"] is True
    assert not world.git("tag")
    assert not git(remote, "tag")


def test_the_remote_gets_what_it_lacks_and_only_that(two: tuple[World, Path]) -> None:
    world, remote = two
    world.git("tag", "-m", "by hand", "fraud@1", registering(world, "fraud"))
    world.git("push", "--quiet", "origin", "fraud@1")
    done = world.cli("release-tags", "--push")
    assert "2 tagged; 2 pushed to origin; 3 versions in all" in done.stdout
    assert git(remote, "tag").split() == ["churn@1", "fraud@1", "fraud@2"]
    assert world.git("cat-file", "tag", "fraud@1").endswith("by hand\n")
    assert "0 tagged; 0 pushed" in world.cli("release-tags", "--push").stdout


def test_a_push_that_failed_is_finished_by_the_next(two: tuple[World, Path]) -> None:
    world, remote = two
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no room today >&2\nexit 1\n")
    hook.chmod(0o755)
    failed = world.cli("release-tags", "--push", check=2)
    assert "the same command goes on" in failed.stderr
    assert not git(remote, "tag")
    hook.unlink()
    assert "0 tagged; 3 pushed to origin" in world.cli("release-tags", "--push").stdout


@pytest.mark.parametrize("at", ["here", "there"])
def test_a_tag_that_stands_elsewhere_is_told_and_stays(two: tuple[World, Path], at: str) -> None:
    world, remote = two
    world.git("tag", "-m", "wrong", "fraud@2", "main")
    if at == "there":
        world.git("push", "--quiet", "origin", "fraud@2")
        world.git("tag", "-d", "fraud@2")
    done = world.cli("release-tags", "--push", check=1)
    assert f"fraud@2 marks {world.git('rev-parse', '--short=12', 'main').strip()}" in done.stdout
    assert "it was not moved" in done.stdout
    assert git(remote, "rev-parse", "fraud@1^{commit}").strip() == registering(world, "fraud")
    wrong = git(remote if at == "there" else world.root, "rev-parse", "fraud@2^{commit}").strip()
    assert wrong == world.git("rev-parse", "main").strip()


def test_a_renamed_model_is_tagged_where_it_got_its_name(two: tuple[World, Path]) -> None:
    world, _ = two
    world.cli("rename", "churn", "leaving")
    renamed = world.git("rev-parse", "HEAD").strip()
    told = json.loads(world.cli("release-tags", "--json").stdout)
    assert {"tag": "leaving@1", "commit": renamed, "state": "missing"} in told["tags"]
    assert "churn@1" not in told["made"]


def test_a_bare_repository_is_tagged_too(two: tuple[World, Path]) -> None:
    world, remote = two
    assert Registry.open(remote).release_tags().made == ("churn@1", "fraud@1", "fraud@2")
    assert git(remote, "rev-parse", "fraud@2^{commit}").strip() == registering(world, "fraud")


def test_tags_are_signed_where_commits_are(two: tuple[World, Path], tmp_path: Path) -> None:
    world, _ = two
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    world.git("config", "gpg.format", "ssh")
    world.git("config", "user.signingKey", str(key))
    world.cli("release-tags")
    signers = tmp_path / "signers"
    signers.write_text(f"* {key.with_suffix('.pub').read_text()}")
    world.git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "fraud@1", "churn@1")
    key.unlink()
    world.git("tag", "-d", "fraud@1")
    failed = world.cli("release-tags", check=2)
    assert "could not sign the tag fraud@1" in failed.stderr
    assert "fraud@1" not in world.git("tag").split()


def test_what_cannot_be_tagged_is_said(two: tuple[World, Path], tmp_path: Path) -> None:
    world, remote = two
    shallow = world.clone(tmp_path / "shallow", "--depth=1")
    assert "history" in shallow.cli("release-tags", check=2).stderr
    world.git("branch", "--unset-upstream")
    assert "follows no branch of a remote" in world.cli("release-tags", "--push", check=2).stderr
    assert "in a clone" in world.cli("--revision", "HEAD", "release-tags", check=2).stderr
    world.git("branch", "-u", "origin/main")
    remote.rename(remote.with_name("away"))
    assert "cannot be asked for its tags" in world.cli("release-tags", "--push", check=2).stderr
    assert not world.git("tag")
