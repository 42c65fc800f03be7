"""`verify --changed`: the bytes of a change by hash, nothing opened; then measured from the cache on what the base pins."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from builder import World, cli, git
from story import Trained

from gitops_registry import paths
from gitops_registry.formats.sklearn import untrusted
from gitops_registry.manifest.facts import Artifact
from gitops_registry.manifest.writing import dump
from gitops_registry.reference import Reference

HEAD = "register/tumour/2"


@pytest.fixture(scope="module")
def base(trained: Trained, template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One forest on main and pinned data; a second one is proposed; the bytes are in a folder of their own."""
    folder = tmp_path_factory.mktemp("proving")
    world = World(folder / "world", template=template)
    world.git("rm", "-q", "--cached", ".dvc/config")
    store = folder / "store"
    store.mkdir()
    (world.root / ".dvc/config").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n")
    world.git("add", ".dvc/config")
    world.git("commit", "-qm", "keep bytes in a folder")
    given = ("--card", str(trained.card), "--data", str(trained.data), "--target", "diagnosis")
    world.cli("register", "tumour", str(trained.model(3)), *given)
    world.cli("evaluation", "set", "tumour", str(trained.data), "--target", "diagnosis")
    world.cli("register", "tumour", str(trained.model(2)), *given)
    world.git("branch", HEAD)
    world.git("reset", "-q", "--hard", "HEAD~1")
    return world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """The same with an empty cache, and a store of its own."""
    found = World(tmp_path / "world", template=base.root)
    shutil.copytree(base.root.parent / "store", tmp_path / "store")
    config = found.root / ".dvc/config"
    found.commit({".dvc/config": config.read_text().replace(str(base.root.parent), str(tmp_path)).encode()})
    found.git("switch", "-q", HEAD)
    found.git("merge", "-q", "--no-edit", "main")
    found.git("switch", "-q", "main")
    shutil.rmtree(found.root / ".dvc/cache")
    return found


def asked(world: World, *words: str, head: str = HEAD, check: int = 0) -> dict[str, Any]:
    told = world.cli("verify", "--changed", "--base", "main", "--head", head, "--json", *words, check=check).stdout
    return dict(json.loads(told))


def stored(world: World, number: int = 2, revision: str = HEAD) -> list[Path]:
    version = world.registry.place.snapshot(revision).known_version(Reference("tumour", number))
    return [world.root.parent / "store/files/md5" / one.md5[:2] / one.md5[2:] for one in version.artifacts]


def damage(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"x" * file.stat().st_size)


def test_what_is_registered_is_fetched_by_hash_and_measured_from_the_cache_alone(world: World) -> None:
    told = world.cli("verify", "--changed", "--base", "main", "--head", HEAD).stdout
    assert [line.split()[-1] for line in told.splitlines() if line.startswith("tumour@2")] == ["ok", "ok"]
    assert "data of tumour" in told
    assert "tumour@1" not in told
    (world.root.parent / "store").rename(world.root.parent / "away")
    measured = asked(world, "--measure")["versions"]
    assert [(one["version"], one["wrong"], one["measured"]["as_registered"]) for one in measured] == [("tumour@2", False, True)]  # fmt: skip
    assert (
        "tumour@2: 7 metrics as registered"
        in world.cli("verify", "--changed", "--measure", "--base", "main", "--head", HEAD).stdout
    )


def test_nothing_is_measured_that_was_not_fetched(world: World) -> None:
    (one,) = asked(world, "--measure", check=1)["versions"]
    assert "missing in the cache" in one["reason"]
    assert one["measured"] is None
    assert not list((world.root / ".dvc").rglob("files/md5/??/*"))


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_wrong_bytes_in_the_store_are_found(world: World, how: str) -> None:
    file = stored(world)[0]
    damage(file) if how == "damaged" else file.unlink()
    found = asked(world, check=1)["artifacts"]
    assert [bool(one["problem"]) for one in found] == [True, False, False]


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_full_cache_does_not_hide_what_the_store_has_not(world: World, how: str) -> None:
    asked(world)
    file = stored(world)[0]
    damage(file) if how == "damaged" else file.unlink()
    assert [bool(one["problem"]) for one in asked(world, check=1)["artifacts"]] == [True, False, False]
    (world.root.parent / "store").rename(world.root.parent / "away")
    assert all("cannot be reached" in one["problem"] for one in asked(world, check=1)["artifacts"])


def test_wrong_bytes_in_the_cache_are_fetched_again(world: World) -> None:
    asked(world)
    (cached,) = (world.root / ".dvc/cache").rglob(stored(world)[0].name)
    damage(cached)
    assert not any(one["problem"] for one in asked(world)["artifacts"])
    assert cached.read_bytes() == stored(world)[0].read_bytes()


def test_wrong_bytes_in_the_cache_are_not_opened(world: World) -> None:
    asked(world)
    for file in (world.root / ".dvc/cache").rglob(stored(world)[0].name):
        damage(file)
    (one,) = asked(world, "--measure", check=1)["versions"]
    assert "damaged in the cache" in one["reason"]


def test_the_head_does_not_say_where_bytes_are_looked_for(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    text = (world.root / ".dvc/config").read_text().replace(str(tmp_path / "store"), str(elsewhere))
    world.commit({".dvc/config": text.encode()}, branch=HEAD)
    assert not any(one["problem"] for one in asked(world)["artifacts"])


def test_a_proposal_that_is_checked_out_does_not_say_it_either(world: World, tmp_path: Path) -> None:
    text = (world.root / ".dvc/config").read_text().replace(str(tmp_path / "store"), str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    world.commit({".dvc/config": text.encode()}, branch=HEAD)
    world.git("switch", "-q", HEAD)
    for words in ((), ("--measure",)):
        done = world.cli("verify", "--changed", "--base", "main", *words, check=2)
        assert ".dvc/config of what is checked out is not that of main" in done.stderr
    world.git("checkout", "-q", "main", "--", ".dvc/config")
    assert not any(one["problem"] for one in asked(world)["artifacts"])
    world.commit({".dvc/config.local": text.encode()}, branch=HEAD)
    assert ".dvc/config.local of what" in world.cli("verify", "--changed", "--base", "main", check=2).stderr


def altered(world: World, **facts: Any) -> None:
    version = world.registry.place.snapshot(HEAD).known_version(Reference("tumour", 2))
    path = paths.version_path("tumour", 2)
    world.commit({path: dump(version.model_copy(update=facts), path)}, branch=HEAD)


def test_a_metric_that_is_another_one_is_named_with_both_values(world: World) -> None:
    version = world.registry.place.snapshot(HEAD).known_version(Reference("tumour", 2))
    altered(world, metrics={**version.metrics, "accuracy": 0.999})
    asked(world)
    (one,) = asked(world, "--measure", check=1)["versions"]
    assert one["reason"].startswith("accuracy is registered as 0.999 and measured as 0.9")
    assert (
        "✗ tumour@2: accuracy is registered"
        in world.cli("verify", "--changed", "--measure", "--base", "main", "--head", HEAD, check=1).stdout
    )


def test_a_claim_that_is_not_what_is_measured_is_named_with_both_values(world: World) -> None:
    version = world.registry.place.snapshot(HEAD).known_version(Reference("tumour", 2))
    altered(world, metrics={**version.metrics, "accuracy": 0.999}, claimed=("accuracy",))
    asked(world)
    (one,) = asked(world, "--measure", check=1)["versions"]
    assert one["reason"].startswith("accuracy is claimed as 0.999 and measured as 0.9")
    assert one["wrong"]


def test_a_pointer_that_says_something_else_is_found(world: World) -> None:
    place = paths.pointer_path("tumour", 2, "forest2.skops")
    path = next(
        p
        for p in world.git("ls-tree", "-r", "--name-only", HEAD, "models/tumour/versions/2").split()
        if p.endswith(".skops.dvc")
    )
    assert place.rpartition("/")[0] == path.rpartition("/")[0]
    text = world.read(path, revision=HEAD)
    world.commit({path: text.replace(b"size: ", b"size: 1")}, branch=HEAD)
    assert any("does not agree with version.yaml" in one["problem"] for one in asked(world, check=1)["artifacts"])


def test_data_that_the_head_pins_is_not_what_it_is_measured_on(world: World, tmp_path: Path) -> None:
    asked(world)
    model = world.registry.place.snapshot("main").known_model("tumour")
    assert model.evaluation is not None
    pinned = model.evaluation.model_copy(update={"sha256": "0" * 64, "md5": "0" * 32})
    path = paths.model_path("tumour")
    there = world.registry.place.snapshot(HEAD).known_model("tumour")
    world.commit({path: dump(there.model_copy(update={"evaluation": pinned}), path)}, branch=HEAD)
    (one,) = asked(world, "--measure")["versions"]
    assert one["measured"]["data"]["sha256"] == model.evaluation.sha256


def test_a_move_into_serving_and_an_alias_are_looked_at_and_others_are_not(world: World) -> None:
    registry = world.registry
    assert asked(world, head="main")["artifacts"] == []
    assert "no bytes" in world.cli("verify", "--changed", "--base", "main", "--head", "main").stdout
    assert registry.promote("tumour", 1, to="staging", direct=False)
    assert asked(world, head="promote/tumour/1/staging")["artifacts"] == []
    assert registry.promote("tumour", 1, to="staging", direct=True)
    for outcome in (
        registry.promote("tumour", 1, to="production", direct=False, draft=True),
        registry.set_alias("tumour", "champion", 1, direct=False),
    ):
        found = asked(world, head=outcome.proposal or "")["artifacts"]
        assert {one["what"] for one in found} == {"tumour@1", "data of tumour"}


def test_what_main_pins_no_data_for_is_told_and_no_refusal(world: World) -> None:
    made = World(world.root.parent / "other", template=world.root)
    made.model("fraud").version().commit()
    world.git("fetch", "-q", str(made.root), "main:register/fraud/1")
    (one,) = asked(world, "--measure", head="register/fraud/1")["versions"]
    assert one["reason"] == "the base pins no evaluation data for fraud"


def test_rows_that_a_new_model_brings_itself_show_that_its_claim_is_wrong(world: World, trained: Trained) -> None:
    head, path = "register/fresh/1", paths.version_path("fresh", 1)
    given = ("--data", str(trained.data), "--target", "diagnosis", "--keep-data")
    world.cli("register", "fresh", str(trained.model(2)), *given)
    world.git("branch", head)
    world.git("reset", "-q", "--hard", "HEAD~1")
    asked(world, head=head)
    (one,) = asked(world, "--measure", head=head)["versions"]
    assert (one["wrong"], one["measured"]["as_registered"]) == (False, True)
    version = world.registry.place.snapshot(head).known_version(Reference("fresh", 1))
    wrong = version.model_copy(update={"metrics": {**version.metrics, "accuracy": 0.999}})
    world.commit({path: dump(wrong, path)}, branch=head)
    (one,) = asked(world, "--measure", head=head, check=1)["versions"]
    assert one["reason"].startswith("accuracy is registered as 0.999 and measured as 0.9")


def brought(world: World, file: Path, form: str) -> str:
    """Bring a file into the store as a proposed version, as nobody could with `register`, and return the branch."""
    made = World(file.parent / "other", template=world.root)
    place = made.registry.place
    digest = place.store().add(file)
    place.store().push([digest])
    artifact = Artifact(
        name="model", file=file.name, format=form, size=digest.size, md5=digest.md5, sha256=digest.sha256
    )
    made.model("tumour").version(artifacts=(artifact,), metrics={"accuracy": 0.99}).commit()
    world.git("fetch", "-q", str(made.root), "main:register/tumour/9")
    return "register/tumour/9"


class Opens:
    """What unpickles as a file that is written."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize(
    ("form", "file", "said", "code"),
    [
        ("pickle", "model.pkl", "", 1),
        ("joblib", "model.joblib", "", 1),
        ("skops", "model.skops", "", 1),
        ("onnx", "model.onnx", "", 1),
    ],
)
def test_a_pickle_is_fetched_and_never_opened_whatever_it_is_called(
    world: World, tmp_path: Path, form: str, file: str, said: str, code: int
) -> None:
    canary = tmp_path / "opened"
    source = tmp_path / file
    source.write_bytes(pickle.dumps(Opens(canary)))
    head = brought(world, source, form)
    assert [one["problem"] for one in asked(world, head=head)["artifacts"]] == ["", ""]
    (one,) = asked(world, "--measure", head=head, check=code)["versions"]
    assert said in one["reason"]
    assert one["reason"]
    assert one["measured"] is None
    assert not canary.exists()
    pickle.loads(source.read_bytes())  # the canary does sing
    assert canary.exists()


def test_the_head_does_not_say_which_types_may_be_built_of_its_bytes(world: World, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    file = tmp_path / "model.skops"
    skops.io.dump(FunctionTransformer(func=os.system), file)
    head = brought(world, file, "skops")
    law = world.read(paths.CONSTITUTION) + f"trusted_types: {untrusted(file)}\n".encode()
    world.commit({paths.CONSTITUTION: law}, branch=head)
    asked(world, head=head)
    for checked_out in ("main", head):
        world.git("switch", "-q", checked_out)
        (one,) = asked(world, "--measure", head=head, check=1)["versions"]
        assert "nobody has reviewed" in one["reason"], checked_out


def test_data_that_a_change_would_pin_is_fetched_too(world: World, trained: Trained, tmp_path: Path) -> None:
    table = tmp_path / "newer.csv"
    table.write_text("\n".join(trained.data.read_text().splitlines()[:60]) + "\n")
    world.registry.set_evaluation("tumour", table, target="diagnosis", direct=False)
    head = "evaluation/tumour/data"
    (one,) = asked(world, head=head)["artifacts"]
    assert (one["what"], one["problem"]) == ("new data of tumour", "")
    pinned = world.registry.place.snapshot(head).known_model("tumour").evaluation
    assert pinned is not None
    (world.root.parent / "store/files/md5" / pinned.md5[:2] / pinned.md5[2:]).unlink()
    (one,) = asked(world, head=head, check=1)["artifacts"]
    assert "missing in the store" in one["problem"]
    assert asked(world, "--measure", head=head)["versions"] == []


def test_a_head_that_cannot_be_read_is_said_in_one_line(world: World) -> None:
    world.commit({paths.version_path("tumour", 2): b"kind: [\n"}, branch=HEAD)
    for words in ((), ("--measure",)):
        done = world.cli("verify", "--changed", "--base", "main", "--head", HEAD, *words, check=2)
        assert paths.version_path("tumour", 2) in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_bare_repository_looks_where_its_branch_of_decisions_says(world: World, tmp_path: Path) -> None:
    elsewhere = (world.root / ".dvc/config").read_text().replace(str(tmp_path / "store"), str(tmp_path / "elsewhere"))
    world.commit({".dvc/config": elsewhere.encode()}, branch=HEAD)
    git(tmp_path, "clone", "--quiet", "--bare", str(world.root), "bare.git")
    for words in ((), ("--measure",)):
        done = cli(tmp_path / "bare.git", "verify", "--changed", "--base", "main", "--head", HEAD, "--json", *words)
        assert done.returncode == 0, done.stderr
    assert [one["measured"]["as_registered"] for one in json.loads(done.stdout)["versions"]] == [True]


def test_of_the_store_in_the_repository_only_what_the_head_commits_counts(template: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world", template=template)
    world.model("fraud").version().commit()
    world.git("branch", "register/fraud/1")
    (object_of_it,) = world.git("ls-tree", "-r", "--name-only", "HEAD", ".dvc/store").split()
    kept = (world.root / object_of_it).read_bytes()
    world.git("reset", "-q", "--hard", "HEAD~1")
    (one,) = asked(world, head="register/fraud/1")["artifacts"]
    assert one["problem"] == ""
    world.commit({object_of_it: None}, branch="register/fraud/1")
    (world.root / object_of_it).parent.mkdir(parents=True)
    (world.root / object_of_it).write_bytes(kept)  # lies there, and is in no commit
    for cache in ("full", "empty"):
        (one,) = asked(world, head="register/fraud/1", check=1)["artifacts"]
        assert "missing in the store .dvc/store" in one["problem"], cache
        shutil.rmtree(world.root / ".dvc/cache")


@pytest.mark.parametrize("words", [("--base", "main", "--head", ""), ("--base", "", "--head", HEAD), ("--base", "", "--head", "")])  # fmt: skip
def test_a_revision_that_a_job_did_not_set_is_not_taken_for_the_base(world: World, words: tuple[str, ...]) -> None:
    done = world.cli("verify", "--changed", *words, check=2)
    assert "must name a revision" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", [("--changed",), ("--base", "main"), ("--changed", "--base", "main", "tumour@1"), ("--changed", "--base", "main", "--record")])  # fmt: skip
def test_options_that_do_not_go_together_are_said(world: World, words: tuple[str, ...]) -> None:
    assert "--changed looks at a whole change" in world.cli("verify", *words, check=2).stderr
