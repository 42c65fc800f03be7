"""Whatever was decided, in any order, GTO's own reading of the tags and DVC's way from a stage to bytes say what the registry says."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builder import FINISHED_CARD, World
from gto.api import show
from gto.tag import find
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from scmrepo.git import Git

from gitops_registry import edits, gto
from gitops_registry.errors import RegistryError
from gitops_registry.gto import number_listed
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.tagging import agree, keep_tags

Step = tuple[Any, ...]
Decision = Sequence[Step]
STAGES = ("development", "staging", "production", "archived")
MODELS = st.sampled_from(["m", "m", "m", "n"])
NUMBERS = st.integers(1, 3)
STEP = st.one_of(
    st.tuples(st.just("register"), MODELS, st.sampled_from([None, None, "2.0.0", "0.9.0", "1.0.0-rc.1"])),
    st.tuples(st.just("register"), MODELS, st.none()),
    st.tuples(st.just("move"), MODELS, NUMBERS, st.sampled_from(STAGES)),
    st.tuples(st.just("move"), MODELS, NUMBERS, st.sampled_from(STAGES)),
    st.tuples(st.just("delete"), MODELS, NUMBERS),
    st.tuples(st.just("alias"), MODELS, NUMBERS),
    st.tuples(st.just("end"), MODELS),
    st.tuples(st.just("rename"), MODELS, st.sampled_from(["n", "x"])),
    st.just(("untagged",)),
)
DECISIONS = st.lists(st.lists(STEP, min_size=1, max_size=3), min_size=2, max_size=7)
FORGED = st.tuples(
    st.sampled_from(
        ["m@v1.0.0", "m@v2.0.0", "m@v2.0.0!", "m@v7.0.0", "m@v1.0.0#3", "m#staging", "m#staging#2", "m#staging!#3", "m#live#4",
         "m#production#9", "m#archived!", "m@deprecated", "other@v1.0.0", "other#staging#1"]
    ),
    st.integers(0, 9),
    st.sampled_from([1_000_000_000, 1_790_000_000, 4_000_000_000]),
)  # fmt: skip
"""A tag that somebody makes by hand or with GTO: its name, on which decision, and its date."""
BOUNDED = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
"""What fails is short as it is, and to look for a shorter one takes minutes."""


@pytest.fixture(scope="module")
def begun(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry with `interop: gto` and a version to copy: no decision below makes bytes."""
    world = World(tmp_path_factory.mktemp("as-read") / "world", template=template)
    world.cli("interop", "on")
    world.model("seed").version().commit()
    world.cli("doctor", "--repair")
    return world


@contextmanager
def copied(world: World) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield World(Path(folder) / "registry", template=world.root)


def stepped(now: Snapshot, step: Step) -> Edits:
    verb, name, *rest = step
    if verb == "register":
        seed = now.known_version(Reference("seed", 1)).model_copy(update={"release": rest[0]})
        files = {"model.bin.dvc": now.read("models/seed/versions/1/model.bin.dvc") or b""}
        return edits.register(now, name, seed, card=FINISHED_CARD, files=files)
    if verb == "move":
        return edits.promote(now, Reference(name, rest[0]), rest[1])
    if verb == "delete":
        return edits.delete_version(now, Reference(name, rest[0]), force=True)
    if verb == "alias":
        return edits.set_alias(now, Reference(name, rest[0]), "champion")
    return edits.rename(now, name, rest[0]) if verb == "rename" else edits.delete_model(now, name, force=True)


def decide(world: World, steps: Decision) -> None:
    """Commit what the steps make, leaving out those that cannot be done, and tag it unless one of them says not to."""
    place = world.registry.place
    since, before = place.tip(), place.snapshot("main")
    after = before
    for step in steps:
        if step[0] == "rename" and after is not before:
            continue  # what moves is what git has already
        try:
            after = after.with_edits(stepped(after, step)) if step != ("untagged",) else after
        except RegistryError:
            continue
    if after.changed_paths():
        world.commit(gto.agreed(before, after.edits), f"{steps}")
        if ("untagged",) not in steps:
            keep_tags(world.registry.place, since)


def compare(world: World) -> None:
    """Compare with what GTO shows, and with the version whose bytes DVC would get, for every model and stage.

    What is said not to be said is left out.
    """
    now = world.registry.place.snapshot("main")
    unsaid = {line.partition(":")[0] for line in agree(world.registry.place, dry_run=True).unsaid}
    shown = show(str(world.root))
    scm = Git(str(world.root))
    for name in now.live_models():
        said = {
            number: f"v{gto.release_of(now.known_version(Reference(name, number)).release, number)}"
            for number in now.versions(name)
            if f"{name}@{number}" not in unsaid
        }
        read = {one["version"] for one in show(str(world.root), name=name)} if name in shown else set()
        assert read == set(said.values()), name
        for stage in STAGES[1:]:
            held = [number for number in now.in_stage(name, stage) if number in said]
            in_gto = shown.get(name, {}).get("stage", {}).get(stage)
            assert in_gto == (said[held[-1]] if held else None), (name, stage)
            if held:
                commit = find(name=name, stage=stage, scm=scm)[-1].target  # as DVC's Artifacts.get_rev
                content = world.registry.place.snapshot(commit).read("dvc.yaml")
                assert number_listed(content, name) == held[-1], (name, stage)
    assert not {
        name for name in shown if name in now.models() and name not in now.live_models() and shown[name]["version"]
    }


R, RELEASE_2 = ("register", "m", None), ("register", "m", "2.0.0")


def to(number: int, stage: str) -> Step:
    return ("move", "m", number, stage)


@BOUNDED
@given(DECISIONS)
@example([[R], [R], [to(1, "staging")], [to(2, "staging")], [to(1, "archived")]])  # the older one left last
@example([[R], [R], [to(2, "staging")], [to(1, "staging")]])  # the older one came last
@example([[R], [R], [to(1, "staging"), to(2, "staging")], [to(2, "archived")], [to(1, "archived")]])
@example([[RELEASE_2], [R], [to(2, "staging")]])  # the second one's number is the first one's release
@example([[RELEASE_2], [R], [to(2, "staging")], [("delete", "m", 1)]])
@example([[RELEASE_2], [("delete", "m", 1)], [RELEASE_2], [to(2, "staging")]])
@example([[("register", "m", "1.0.0-rc.lock")], [to(1, "staging")]])  # which no ref of git's may end in
@example([[("register", "m", f"1.0.0-{'x' * 250}")], [to(1, "staging")]])
@example([[R]] * 10 + [[to(10, "staging")], [to(9, "staging")]])
@example([[R, R], [("delete", "m", 2)], [to(1, "staging")]])
@example([[R, ("untagged",)], [to(1, "staging"), ("untagged",)], [R]])
def test_what_gto_and_dvc_read_is_what_the_registry_says(begun: World, decisions: list[Decision]) -> None:
    with copied(begun) as world:
        for steps in decisions:
            decide(world, steps)
        agree(world.registry.place)
        assert not agree(world.registry.place, dry_run=True).wanted
        compare(world)


@BOUNDED
@given(DECISIONS, st.lists(FORGED, min_size=1, max_size=4), st.lists(STEP, max_size=2))
def test_tags_of_others_are_overruled_or_called_wrong(
    begun: World, decisions: list[Decision], forged: list[tuple[str, int, int]], behind: Decision
) -> None:
    with copied(begun) as world:
        for steps in ([R], *decisions):
            decide(world, steps)
        agree(world.registry.place)
        commits = world.git("rev-list", "--first-parent", "main").split()
        for name, at, date in forged:
            forge(world, name, commits[at % len(commits)], date)
        decide(world, behind)
        agree(world.registry.place)
        found = agree(world.registry.place, dry_run=True)
        assert not found.wanted
        assert not world.git("tag", "-l", "other*!*")
        if not found.wrong:
            compare(world)


def forge(world: World, name: str, commit: str, date: int) -> None:
    """Make an annotated tag, unless there is one of that name."""
    subprocess.run(
        ["git", "-C", str(world.root), "tag", "-m", "mine", name, commit],
        env={**os.environ, "GIT_COMMITTER_DATE": f"@{date} +0000"}, check=False, capture_output=True,
    )  # fmt: skip
