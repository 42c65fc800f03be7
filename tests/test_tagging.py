"""dvc.yaml follows from the registry, and the check refuses any other; names and tags are those of GTO's grammar."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from builder import World, errors, git
from gto.api import show
from gto.constants import COUNTER, NAME, STAGE, VERSION, check_string_is_valid
from gto.tag import parse_name
from hypothesis import given
from hypothesis import strategies as st

from gitops_registry import edits, gto
from gitops_registry.deciding import Intent, decide, propose
from gitops_registry.errors import Conflict
from gitops_registry.gto import HEADING, Tag, dvc_yaml, listed, number_listed, read_tag
from gitops_registry.reference import Reference
from gitops_registry.tagging import agree


@pytest.fixture(scope="module")
def begun(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry with `interop: gto` from the start, and two models; it is made once and stays as it is."""
    world = World(tmp_path_factory.mktemp("begun") / "world", template=template)
    world.cli("interop", "on")
    for name in ("fraud", "churn"):
        world.model(name).version().commit()
    world.cli("doctor", "--repair")
    return world


@pytest.fixture
def kept(begun: World, tmp_path: Path) -> World:
    """The same, to change."""
    return World(tmp_path / "world", template=begun.root)


def names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,8}[A-Za-z0-9])?", fullmatch=True)


@given(
    names(),
    st.from_regex(r"[0-9]{1,2}\.[0-9]\.[0-9](-rc\.1)?", fullmatch=True),
    names(),
    st.integers(1, 999),
    st.booleans(),
)
def test_what_we_call_a_tag_gto_reads_as_meant(model: str, release: str, stage: str, counter: int, gone: bool) -> None:
    for tag in (Tag(model, gto.release_of(release, 7), is_undone=gone), Tag(model, "", stage, counter, gone)):
        read = parse_name(str(tag))
        assert read[NAME] == model
        assert (read.get(VERSION) or f"v{tag.release}") == f"v{tag.release}"
        assert (read.get(STAGE, ""), read.get(COUNTER, 0)) == (tag.stage, tag.counter)
        assert read_tag(str(tag)) == tag


@given(st.text(alphabet="abZ09._-@#!/=", max_size=12))
def test_a_name_is_sayable_where_gto_says_so(name: str) -> None:
    if "/" not in name and "\n" not in name:
        assert gto.is_sayable(name) == check_string_is_valid(name)


@pytest.mark.parametrize(
    ("release", "called"), [("1.2.0", "1.2.0"), (None, "3.0.0"), ("1.2", "3.0.0"), ("01.2.3", "3.0.0")]
)
def test_a_release_that_is_no_semantic_version_is_called_by_the_number(release: str | None, called: str) -> None:
    assert gto.release_of(release, 3) == called


def test_dvc_yaml_leads_to_the_newest_version_of_each_model_and_is_the_same_however_it_is_made(kept: World) -> None:
    text = kept.read("dvc.yaml")
    assert text.startswith(HEADING)
    assert listed(text) == {name: f"models/{name}/versions/1/model.bin" for name in ("churn", "fraud")}
    kept.cli("delete", "churn")
    now = kept.registry.place.snapshot("main")
    assert kept.read("dvc.yaml") == dvc_yaml(now)
    assert (number_listed(dvc_yaml(now), "fraud"), number_listed(dvc_yaml(now), "churn")) == (1, 0)
    kept.cli("rename", "fraud", "risk")
    assert listed(kept.read("dvc.yaml")) == {"risk": "models/risk/versions/1/model.bin"}
    kept.cli("check")


def test_another_dvc_yaml_is_refused_and_nothing_of_it_is_in_the_plan(kept: World) -> None:
    for content in (None, b"artifacts: {}\n", kept.read("dvc.yaml").replace(b"versions/1", b"versions/2")):
        report = kept.judged({"dvc.yaml": content})
        assert "interop" in errors(report), content
        assert not report.changes
    away = kept.branch({"dvc.yaml": b"artifacts: {}\n"})
    assert "interop" in kept.cli("check", "--head", away, check=1).stdout


def test_a_version_without_its_dvc_yaml_is_refused(kept: World) -> None:
    kept.model("fraud").version().commit()
    added = kept.git("rev-parse", "main").strip()
    assert "interop" in errors(kept.registry.check(base=f"{added}~1", head=added))
    told = kept.cli("doctor", check=1).stdout
    assert "dvc.yaml is not what models/ gives" in told
    assert "doctor --repair" in told
    kept.cli("doctor", "--repair", "--dry-run")
    assert kept.git("rev-parse", "main").strip() == added
    kept.cli("doctor", "--repair")
    kept.cli("check")
    kept.cli("interop", "status")


def test_without_interop_dvc_yaml_is_anybodys_file(world: World) -> None:
    world.model("fraud").version().commit()
    world.commit({"dvc.yaml": b"stages: {}\n"})
    report = world.judged({"dvc.yaml": b"stages: {train: {cmd: echo}}\n"})
    assert [change.kind for change in report.changes] == ["unknown_file_changed"]
    told = world.cli("interop", "on", check=2)
    assert "dvc.yaml was written by hand" in told.stderr
    assert world.read("registry.yaml").count(b"interop") == 0


def test_interop_goes_off_as_it_came_and_comments_stay(world: World) -> None:
    before = world.read("registry.yaml")
    world.commit({"registry.yaml": before + b"# ours, since May\n"})
    world.cli("interop", "on")
    assert world.read("registry.yaml").endswith(b"# ours, since May\ninterop: gto\n")
    assert world.read("dvc.yaml") == HEADING + b"artifacts: {}\n"
    world.cli("interop", "off")
    assert world.read("registry.yaml") == before + b"# ours, since May\n"
    assert "dvc.yaml" not in world.git("ls-tree", "--name-only", "main").split()
    assert json.loads(world.cli("interop", "status", "--json").stdout) == {"interop": None}
    world.cli("check")


def test_unmanaged_cannot_name_what_interop_writes(kept: World) -> None:
    law = kept.read("registry.yaml") + b"unmanaged: [dvc.yaml]\n"
    assert "interop" in errors(kept.judged({"registry.yaml": law}))


def test_two_proposals_that_register_land_one_after_the_other(kept: World) -> None:
    for model in ("fraud", "churn"):
        copy = _one_more(kept, model)
        intent = Intent(
            edit=lambda _, copy=copy: copy, subject=lambda _, model=model: f"register {model} 2",
            branch=lambda _, model=model: f"register/{model}/2",
        )  # fmt: skip
        propose(kept.registry.place, intent)
    for model in ("fraud", "churn"):
        kept.cli("merge", f"register/{model}/2")
    assert listed(kept.read("dvc.yaml")) == {m: f"models/{m}/versions/2/model.bin" for m in ("churn", "fraud")}
    kept.cli("check")
    kept.cli("interop", "status")


def _one_more(world: World, model: str) -> dict[str, bytes]:
    """The files of version 1 of a model again, as its version 2."""
    place = world.registry.place
    now = place.snapshot("main")
    folder = f"models/{model}/versions"
    files = {f"{folder}/2/{path.rsplit('/', 1)[1]}": now.read(path) or b"" for path in now.files(f"{folder}/1")}
    card = place.card(now.with_edits(files), Reference(model, 2))
    return {**files, f"cards/{model}/v2.md": card}


def test_names_that_gto_cannot_say_are_reported_and_left_out(kept: World) -> None:
    kept.model("a.b").version().in_stage("staging").commit()
    kept.cli("doctor", "--repair")
    assert "a.b" not in listed(kept.read("dvc.yaml"))
    told = kept.cli("doctor").stdout
    assert "a.b: GTO has no word for a model of that name" in told
    assert not kept.git("tag", "-l", "a.b*")
    kept.cli("check")


def test_two_versions_of_one_decision_share_no_tag(kept: World) -> None:
    second = _one_more(kept, "fraud")
    third = {
        path.replace("versions/2", "versions/3").replace("/v2.md", "/v3.md"): text for path, text in second.items()
    }
    card = kept.registry.place.snapshot("main").with_edits({**second, **third})
    third["cards/fraud/v3.md"] = kept.registry.place.card(card, Reference("fraud", 3))
    intent = Intent(edit=lambda _: {**second, **third}, subject=lambda _: "register fraud 2 and 3")
    assert decide(kept.registry.place, intent).commit
    assert kept.git("tag", "-l", "fraud@*").split() == ["fraud@v1.0.0", "fraud@v3.0.0"]
    assert "cannot be said: fraud@2: it came together" in kept.cli("interop", "status").stdout


def test_a_tag_that_leads_to_another_version_is_found_and_not_moved(kept: World) -> None:
    kept.git("tag", "-d", "fraud@v1.0.0")
    kept.model("fraud").version().commit()
    kept.cli("doctor", "--repair")
    wrong = kept.git("rev-parse", "main").strip()
    kept.git("tag", "-d", "fraud@v1.0.0")
    kept.git("tag", "-m", "wrong", "fraud@v1.0.0", wrong)
    told = kept.cli("doctor", check=1).stdout
    assert "fraud@v1.0.0 marks" in told
    assert "leads to version 2" in told
    assert kept.git("rev-parse", "fraud@v1.0.0^{commit}").strip() == wrong


def test_what_was_missed_is_made_up_for_and_a_second_look_makes_nothing(kept: World) -> None:
    kept.cli("promote", "fraud@1", "--to", "staging", "--direct")
    tags = kept.git("tag").split()
    assert "fraud#staging#1" in tags
    kept.git("tag", "-d", *tags)
    assert "4 tag" not in kept.cli("doctor", check=1).stdout
    kept.cli("doctor", "--repair")
    assert kept.git("tag").split() == tags
    assert not agree(kept.registry.place).wanted


def test_release_tags_brings_gtos_tags_along(kept: World, tmp_path: Path) -> None:
    kept.git("tag", "-d", *kept.git("tag").split())
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(remote))
    kept.git("remote", "add", "origin", str(remote))
    kept.git("push", "--quiet", "-u", "origin", "main")
    assert "2 tagged for GTO" in kept.cli("release-tags", "--push").stdout
    assert git(remote, "tag").split() == ["churn@1", "churn@v1.0.0", "fraud@1", "fraud@v1.0.0"]


def test_by_hand_written_proposals_bring_the_file_that_the_command_prints(kept: World) -> None:
    kept.git("switch", "-q", "-c", "change/by-hand")
    files = _one_more(kept, "fraud")
    for path, content in files.items():
        (kept.root / path).parent.mkdir(parents=True, exist_ok=True)
        (kept.root / path).write_bytes(content)
    (kept.root / "dvc.yaml").write_text(kept.cli("interop", "dvc-yaml").stdout)
    kept.git("add", "--all")
    kept.git("commit", "-qm", "register fraud 2")
    kept.cli("check", "--base", "main", "--head", "change/by-hand")


def test_a_conflict_says_who_wrote_the_file(world: World) -> None:
    place = world.registry.place
    world.commit({"dvc.yaml": b"stages: {}\n"})
    with pytest.raises(Conflict, match="written by hand"):
        gto.agreed(place.snapshot("main"), {"registry.yaml": world.read("registry.yaml") + b"interop: gto\n"})


def test_tags_that_gto_does_not_read_count_for_nothing(kept: World) -> None:
    """A plain tag, one that names another, one of a file: GTO passes over them, or is misled."""
    at = kept.git("rev-parse", "fraud@v1.0.0^{commit}").strip()
    kept.git("tag", "fraud#staging#1", at)
    kept.cli("promote", "fraud@1", "--to", "staging", "--direct")
    assert kept.git("tag", "-l", "fraud#staging*").split() == ["fraud#staging#1", "fraud#staging#2"]
    assert show(str(kept.root))["fraud"]["stage"]["staging"] == "v1.0.0"
    kept.git("tag", "-d", "churn@v1.0.0")
    kept.git("tag", "churn@v1.0.0", at)
    kept.git("update-ref", "refs/tags/fraud#live#8", kept.git("rev-parse", "fraud@v1.0.0").strip())
    kept.git("tag", "-m", "a file", "fraud#live#9", "main:registry.yaml")
    told = kept.cli("doctor", check=1).stdout
    assert "churn@v1.0.0 is no annotated tag on a commit" in told
    assert "fraud#live#8 names another tag" in told
    assert "fraud#live#9 names another tag, or marks no commit" in told


def test_tags_of_artifacts_that_are_no_models_stay_as_they_are(kept: World) -> None:
    kept.git("tag", "-m", "ours", "tokenizer@v1.0.0", "main")
    kept.git("tag", "-m", "ours", "tokenizer#production#1", "main")
    kept.cli("doctor", "--repair")
    assert kept.git("tag", "-l", "tokenizer*").split() == ["tokenizer#production#1", "tokenizer@v1.0.0"]
    kept.cli("interop", "status")


def test_a_tag_on_a_commit_that_is_no_decision_leads_nobody_astray(kept: World) -> None:
    """A branch may hold whatever its author likes, and a dvc.yaml that leads to version 1 of it."""
    kept.git("tag", "-d", "fraud@v1.0.0")
    away = kept.branch({"models/fraud/versions/1/model.bin.dvc": b"outs: []\n"})
    kept.git("tag", "-m", "mine", "fraud@v1.0.0", away)
    kept.cli("promote", "fraud@1", "--to", "staging", "--direct")
    assert not kept.git("tag", "-l", "fraud#staging*")
    assert "which is no decision" in kept.cli("interop", "status", check=1).stdout
    kept.git("tag", "-d", "fraud@v1.0.0")
    kept.cli("doctor", "--repair")
    assert kept.git("rev-parse", "fraud#staging#1^{commit}") == kept.git("rev-parse", "fraud@v1.0.0^{commit}")


@pytest.mark.parametrize("name", ["fraud@v1.0.0!", "fraud@deprecated", "fraud@created"])
def test_a_tag_that_hides_a_version_or_a_model_is_found(kept: World, name: str) -> None:
    _late(kept.root, name, "fraud@v1.0.0^{commit}")
    assert f"wrong: {name}" in kept.cli("interop", "status", check=1).stdout


def test_tags_that_a_remote_does_not_take_are_made_again_by_the_next_push(kept: World, tmp_path: Path) -> None:
    """Somebody else's may have their names by then."""
    remote = _remote(kept, tmp_path)
    kept.git("push", "--quiet", "origin", "--tags")
    hook = remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) exit 1;; esac\n')
    hook.chmod(0o755)
    kept.cli("promote", "fraud@1", "--to", "staging", "--direct")
    assert "GTO's tags are not all at origin" in kept.cli("push", check=None).stdout
    assert not kept.git("tag", "-l", "fraud#*")
    hook.unlink()
    git(remote, "tag", "-m", "first", "fraud#archived#1", "fraud@v1.0.0^{commit}")
    kept.cli("doctor", "--repair")
    assert git(remote, "tag") == kept.git("tag")
    assert show(str(remote))["fraud"]["stage"] == {"staging": "v1.0.0"}


def test_a_stray_tag_at_a_remote_is_taken_back_there(kept: World, tmp_path: Path) -> None:
    remote = _remote(kept, tmp_path)
    kept.git("push", "--quiet", "origin", "--tags")
    away = kept.branch({"notes.txt": b"mine\n"})
    kept.git("push", "--quiet", "origin", away)
    _late(remote, "fraud@v9.0.0", away)
    kept.cli("doctor", "--repair")
    assert git(remote, "tag", "-l", "fraud@*").split() == ["fraud@v1.0.0", "fraud@v9.0.0", "fraud@v9.0.0!"]
    assert show(str(remote))["fraud"]["version"] == "v1.0.0"
    _late(kept.root, "fraud#production#1", kept.git("rev-parse", "main~2").strip())
    assert "wrong: fraud#production#1 marks" in kept.cli("interop", "status", check=1).stdout
    git(remote, "tag", "-f", "-m", "moved", "fraud@v1.0.0", away)
    assert "fraud@v1.0.0 is another tag at origin" in kept.cli("release-tags", "--push", check=1).stdout


def _late(folder: Path, name: str, commit: str) -> None:
    """Make a tag that says to be of a later day than all others."""
    late = {**os.environ, "GIT_COMMITTER_DATE": "@4000000000 +0000"}
    subprocess.run(["git", "-C", str(folder), "tag", "-m", "mine", name, commit], env=late, check=True)


def _remote(world: World, folder: Path) -> Path:
    remote = folder / "remote.git"
    git(folder, "init", "--quiet", "--bare", "-b", "main", str(remote))
    world.git("remote", "add", "origin", str(remote))
    world.git("push", "--quiet", "-u", "origin", "main")
    return remote


def test_a_dvc_yaml_may_be_longer_than_a_manifest(kept: World) -> None:
    now = kept.registry.place.snapshot("main")
    many = {f"m{number}": f"models/m{number}/versions/1/model.bin" for number in range(12_000)}
    text = "".join(f'  "{name}":\n    path: "{path}"\n    type: model\n' for name, path in many.items())
    large = now.with_edits({"dvc.yaml": kept.stored(HEADING + b"artifacts:\n" + text.encode(), "100644")})
    edit = edits.delete_model(now, "churn")
    after = gto.agreed(large, {**edit, "dvc.yaml": None})["dvc.yaml"]
    assert listed(gto.written(large)) == many
    assert isinstance(after, bytes)
    assert set(listed(after)) == {"fraud"}
    kept_on = gto.agreed(large, edit)["dvc.yaml"]
    assert isinstance(kept_on, bytes)
    assert listed(kept_on) == many


@pytest.mark.parametrize("spelled", [b'"interop": gto\n', b"interop:\n  gto\n"])
def test_interop_spelled_in_a_way_of_its_own_is_not_called_switched_off(world: World, spelled: bytes) -> None:
    world.commit({"registry.yaml": world.read("registry.yaml") + spelled})
    before = world.git("rev-parse", "main")
    assert "spells `interop` in a way of its own" in world.cli("interop", "off", check=2).stderr
    assert world.git("rev-parse", "main") == before


def test_a_repair_is_proposed_where_the_registry_takes_proposals_only(kept: World) -> None:
    law = kept.read("registry.yaml").replace(b"direct: true", b"direct: false")
    kept.commit({"registry.yaml": law, "dvc.yaml": HEADING + b"artifacts: {}\n"}, "spoil dvc.yaml")
    before = kept.git("rev-parse", "main")
    assert "proposed as change/dvc-yaml" in kept.cli("doctor", "--repair").stdout
    assert kept.git("rev-parse", "main") == before
    kept.cli("merge", "change/dvc-yaml")
    assert set(listed(kept.read("dvc.yaml"))) == {"fraud", "churn"}
