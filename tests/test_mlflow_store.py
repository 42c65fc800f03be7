"""MLflow's store in a registry: what its calls decide, what the rules refuse, and what is different on purpose."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from builder import FLOORS, World, cli, errors, git
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow_pair import FREE, freed, model_folder

from gitops_registry import edits
from gitops_registry.access import needed
from gitops_registry.difference import diff
from gitops_registry.errors import RegistryError
from gitops_registry.manifest.kinds import DEFAULT_STAGES, Access
from gitops_registry.manifest.writing import dump
from gitops_registry.mlflow_store import naming
from gitops_registry.mlflow_store.artifacts import VersionFiles
from gitops_registry.mlflow_store.sources import Runs
from gitops_registry.mlflow_store.store import RegistryStore
from gitops_registry.mlflow_store.uris import files_at, files_uri, registry_address
from gitops_registry.reference import Reference


@pytest.fixture(scope="module")
def lenient(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry whose rules are MLflow's, to copy."""
    return freed(World(tmp_path_factory.mktemp("lenient") / "world", template=template))


@pytest.fixture
def free(lenient: World, tmp_path: Path) -> World:
    """A registry whose rules are MLflow's."""
    return World(tmp_path / "world", template=lenient.root)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder, which nobody changes."""
    return str(model_folder(tmp_path_factory.mktemp("made") / "source"))


def store_of(world: World) -> RegistryStore:
    """Open a registry as MLflow does; its runs are in a database that is not there."""
    return RegistryStore(store_uri=f"gitops://{world.root}", tracking_uri=f"sqlite:///{world.root.parent}/runs.db")


_FILLED: dict[tuple[str, int], Path] = {}


def filled(world: World, source: str, *, versions: int = 3) -> RegistryStore:
    """Make a model with versions; a registry of this content that was filled before is copied."""
    known = world.git("rev-parse", "HEAD^{tree}").strip(), versions
    if known in _FILLED:
        shutil.rmtree(world.root)
        World(world.root, template=_FILLED[known]).git("status")  # a copy has other inodes
        return store_of(world)
    store = store_of(world)
    store.create_registered_model("fraud")
    for number in range(1, versions + 1):
        store.create_model_version("fraud", source, description=f"Take {number}.")
    _FILLED[known] = world.root.with_name("filled")
    shutil.copytree(world.root, _FILLED[known], symlinks=True)
    return store


def code(error: pytest.ExceptionInfo[MlflowException]) -> str:
    return str(error.value.error_code)


def subjects(world: World) -> list[str]:
    return world.git("log", "--format=%s", "main").splitlines()


# ── one call, one decision


def test_each_call_is_one_commit_by_whoever_git_knows(free: World, source: str) -> None:
    store = filled(free, source, versions=2)
    store.set_registered_model_tag("fraud", RegisteredModelTag("domain", "credit"))
    store.update_model_version("fraud", 1, "Scores.")
    store.set_model_version_tag("fraud", 1, ModelVersionTag("checked", "yes"))
    store.set_registered_model_alias("fraud", "champion", 2)
    store.transition_model_version_stage("fraud", 2, "Production", True)
    store.delete_model_version("fraud", 1)
    store.rename_registered_model("fraud", "payments")
    store.delete_registered_model_alias("payments", "champion")
    assert subjects(free)[:11] == [
        "alias payments champion removed", "rename fraud to payments", "delete fraud 1", "promote fraud 2 to production",
        "alias fraud champion to 2", "tag fraud 1", "describe fraud 1", "tag fraud", "register fraud 2", "register fraud 1", "register fraud",
    ]  # fmt: skip
    assert free.git("log", "-1", "--format=%an <%ae>").strip() == "Alice <alice@example.com>"
    assert free.git("status", "--porcelain") == "", "the checkout went along"
    assert not free.registry.check().refusals(frozenset()), "and what MLflow wrote is sound"


def test_what_changes_nothing_makes_no_commit(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    store.set_registered_model_alias("fraud", "champion", 1)
    store.transition_model_version_stage("fraud", 1, "Staging", False)
    store.set_model_version_tag("fraud", 1, ModelVersionTag("a", "b"))
    before = subjects(free)
    store.set_registered_model_alias("fraud", "champion", 1)
    store.transition_model_version_stage("fraud", 1, "staging", False)
    store.set_model_version_tag("fraud", 1, ModelVersionTag("a", "b"))
    store.delete_model_version_tag("fraud", 1, "c")
    store.delete_registered_model_alias("fraud", "nobody")
    store.update_model_version("fraud", 1, "Take 1.")
    assert store.rename_registered_model("fraud", "fraud").name == "fraud"
    assert subjects(free) == before


def test_archiving_others_is_part_of_the_same_commit(free: World, source: str) -> None:
    store = filled(free, source)
    for number in (1, 2):
        store.transition_model_version_stage("fraud", number, "Production", False)
    assert store.transition_model_version_stage("fraud", 3, "Production", True).current_stage == "Production"
    assert {number: store.get_model_version("fraud", number).current_stage for number in (1, 2, 3)} == {
        1: "Archived", 2: "Archived", 3: "Production",
    }  # fmt: skip
    assert subjects(free)[0] == "promote fraud 3 to production"


def test_a_version_goes_straight_to_production_where_the_registry_lets_it(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    assert store.transition_model_version_stage("fraud", "1", "Production", False).current_stage == "Production"
    assert [mv.version for mv in store.get_latest_versions("fraud", ["production"])] == [1]


def test_versions_that_changed_last_are_found_first(free: World, source: str) -> None:
    store = filled(free, source)
    store.update_model_version("fraud", 1, "Other words.")
    store.set_model_version_tag("fraud", 2, ModelVersionTag("a", "b"))
    assert [mv.version for mv in store.search_model_versions()] == [1, 3, 2], "a tag is no change, as MLflow counts"
    store.transition_model_version_stage("fraud", 2, "Staging", False)
    assert [mv.version for mv in store.search_model_versions()] == [2, 1, 3]
    store.create_registered_model("churn")
    assert [m.name for m in store.search_registered_models(order_by=["last_updated_timestamp DESC"])] == [
        "churn",
        "fraud",
    ]
    store.update_registered_model("fraud", "Payments.")
    assert [m.name for m in store.search_registered_models(order_by=["timestamp DESC"])] == ["fraud", "churn"]


def test_what_others_decide_is_seen_by_the_next_call(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    free.registry.promote("fraud", 1, to="staging", direct=True)
    free.registry.set_alias("fraud", "best", 1)
    mine = store.get_model_version("fraud", 1)
    assert (mine.current_stage, mine.aliases) == ("Staging", ["best"])


def test_decisions_count_whichever_branch_is_checked_out(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    free.git("switch", "--quiet", "--create", "elsewhere", "main~1")
    assert [mv.version for mv in store.search_model_versions()] == [1]
    store.create_model_version("fraud", source)
    assert subjects(free)[0] == "register fraud 2"


def test_a_copied_version_keeps_its_files_and_says_where_it_comes_from(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    store.set_model_version_tag("fraud", 1, ModelVersionTag("a", "b"))
    copied = store.copy_model_version(store.get_model_version("fraud", 1), "payments")
    assert (copied.name, copied.version, copied.source, copied.tags) == ("payments", 1, "models:/fraud/1", {"a": "b"})
    mine, theirs = (free.registry.snapshot.version(name, 1) for name in ("payments", "fraud"))
    assert mine is not None
    assert theirs is not None
    assert mine.artifacts == theirs.artifacts
    assert mine.lineage is not None
    assert mine.lineage.parents == ("fraud@1",)
    with pytest.raises(MlflowException) as error:
        store.create_model_version("fraud", "models:/fraud/9")
    assert code(error) == "INTERNAL_ERROR", "as MLflow's own store says it"


# ── rules


@pytest.fixture
def strict(world: World) -> World:
    """A registry that serves from production, by way of staging, what is good enough."""
    return world


def test_what_the_rules_refuse_is_an_exception_with_the_first_finding(strict: World, source: str) -> None:
    store = filled(strict, source, versions=1)
    with pytest.raises(MlflowException, match=r"promote fraud 1 to production: .*; and 2 more") as error:
        store.transition_model_version_stage("fraud", 1, "Production", False)
    assert code(error) == "PERMISSION_DENIED"
    assert "\n" not in str(error.value)
    store.transition_model_version_stage("fraud", 1, "Staging", False)
    with pytest.raises(MlflowException, match="floors") as error:
        store.transition_model_version_stage("fraud", 1, "Production", False)
    assert code(error) == "PERMISSION_DENIED"
    assert store.get_model_version("fraud", 1).current_stage == "Staging"


def test_what_serves_is_not_deleted(world: World, source: str) -> None:
    law = FREE.model_copy(update={"stages": tuple(s.model_copy(update={"from_": None}) for s in DEFAULT_STAGES)})
    world.commit({"registry.yaml": dump(law, "registry.yaml"), "policies/floors.yaml": FLOORS}, "serve")
    world.model("fraud").version(metrics={"accuracy": 0.95}).in_stage("production").commit()
    store = store_of(world)
    for call in (lambda: store.delete_model_version("fraud", 1), lambda: store.delete_registered_model("fraud")):
        with pytest.raises(MlflowException, match="customers use it") as error:
            call()
        assert code(error) == "PERMISSION_DENIED"


def test_an_exclusive_stage_has_one_version_whatever_is_asked(world: World, source: str) -> None:
    stages = tuple(stage.model_copy(update={"exclusive": stage.name == "production"}) for stage in FREE.stages)
    store = filled(freed(world, stages=stages), source, versions=2)
    for number in (1, 2):
        store.transition_model_version_stage("fraud", number, "Production", False)
    assert store.get_model_version("fraud", 1).current_stage == "Archived"


def test_a_registry_can_ask_for_proposals_and_then_nothing_is_claimed_to_be_done(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    freed(free, mlflow="propose")
    with pytest.raises(MlflowException, match="promote/fraud/1/staging") as error:
        store.transition_model_version_stage("fraud", 1, "Staging", False)
    assert code(error) == "PERMISSION_DENIED"
    assert error.value.json_kwargs["proposal"] == "promote/fraud/1/staging"
    assert store.get_model_version("fraud", 1).current_stage == "None"
    with pytest.raises(MlflowException, match="register/fraud/2"):
        store.create_model_version("fraud", source)
    with pytest.raises(MlflowException, match="is open already"):
        store.create_model_version("fraud", source)
    with pytest.raises(MlflowException, match="tag/fraud/1"):
        store.set_model_version_tag("fraud", 1, ModelVersionTag("a", "b"))
    store.delete_model_version_tag("fraud", 1, "c")  # what changes nothing is done, whatever waits
    store.delete_registered_model_tag("fraud", "c")
    free.registry.merge("promote/fraud/1/staging")
    free.registry.merge("register/fraud/2")
    assert store.get_model_version("fraud", 1).current_stage == "Staging"
    assert store.get_model_version("fraud", 2).version == 2


def test_where_changes_come_as_proposals_only_new_versions_are_committed(free: World, source: str) -> None:
    store = filled(freed(free, direct=False), source, versions=1)
    with pytest.raises(MlflowException, match="waits on the branch alias/fraud/champion"):
        store.set_registered_model_alias("fraud", "champion", 1)
    assert subjects(free)[0] == "register fraud 1"


def test_what_the_registry_says_by_now_counts_and_not_what_it_said_at_the_last_look(
    free: World, source: str, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    free.git("clone", "--quiet", "--bare", str(free.root), str(bare))
    store = RegistryStore(store_uri=f"gitops+file://{bare}", tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    store.create_registered_model("fraud")
    free.git("pull", "--quiet", str(bare), "main")
    freed(free, mlflow="propose")
    free.git("push", "--quiet", str(bare), "main")
    with pytest.raises(
        MlflowException, match="takes changes of MLflow as proposals, and it waits on the branch"
    ) as error:
        store.update_registered_model("fraud", "Scores payments.")
    assert code(error) == "PERMISSION_DENIED"
    assert git(bare, "log", "-1", "--format=%s", "main").strip() == "free"
    assert "describe/fraud/model" in git(bare, "branch", "--list")


# ── names


def test_names_outside_our_grammar_come_back_as_they_were_given(free: World, source: str) -> None:
    store = store_of(free)
    for name in ("my model", "モデル", "Fraud", "fraud", "x" * 200, ".hidden", "templates"):
        store.create_registered_model(name)
        store.create_model_version(name, source)
        assert store.get_registered_model(name).name == name
        assert store.get_model_version(name, 1).name == name
    for alias in ("Champion", "champion", "production", "7", "チャンプ"):
        store.set_registered_model_alias("my model", alias, 1)
        assert store.get_model_version_by_alias("my model", alias).version == 1
    assert set(store.get_registered_model("my model").aliases) == {
        "Champion",
        "champion",
        "production",
        "7",
        "チャンプ",
    }
    assert {"my_x20_model", "m_x__x30E2__x30C7__x30EB_"} <= set(free.registry.snapshot.models())
    assert len({model.name for model in store.search_registered_models()}) == 7
    assert not free.registry.check().refusals(frozenset())


def test_long_names_that_differ_only_in_case_are_two_models(free: World, source: str) -> None:
    store = store_of(free)
    for name in ("x" * 120, "X" * 120, "X" * 119 + "x"):
        assert store.create_registered_model(name).name == name
        assert store.create_model_version(name, source).name == name
    assert len({model.name for model in store.search_registered_models()}) == 3


def test_what_is_in_a_list_can_be_asked_for_whatever_somebody_called_it_here(free: World) -> None:
    names = ("a_x110000_b", "a_xD800_b", "m_x_my_x20_model", "my_x20_model", "a_x2F_b", "q_x_q", "m_x_plain")
    for name in names:
        free.model(name, aliases={"is_x110000_": 1}).version().commit()
    store = store_of(free)
    shown = [model.name for model in store.search_registered_models()]
    assert sorted(shown) == sorted(("my model", *names[:3], *names[4:])), (
        "those that are spelled as we spell, and no other"
    )
    for name in shown:
        assert store.get_registered_model(name).aliases == {"is_x110000_": 1}
        assert store.get_model_version(name, 1).name == name
        with pytest.raises(MlflowException) as error:
            store.create_registered_model(name)
        assert code(error) in {"RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"}
    assert {mv.name for mv in store.search_model_versions()} == set(shown)


def test_an_alias_too_long_to_be_spelled_is_refused(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    with pytest.raises(MlflowException, match="too long") as error:
        store.set_registered_model_alias("fraud", "a" * 200, 1)
    assert code(error) == "INVALID_PARAMETER_VALUE"


def test_a_name_that_a_model_was_renamed_from_is_nobodys_again(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    store.rename_registered_model("fraud", "payments")
    store.create_registered_model("churn")
    with pytest.raises(MlflowException) as missing:
        store.get_registered_model("fraud")
    assert code(missing) == "RESOURCE_DOES_NOT_EXIST"
    for call in (
        lambda: store.create_registered_model("fraud"),
        lambda: store.rename_registered_model("churn", "fraud"),
    ):
        with pytest.raises(MlflowException, match="spent") as error:
            call()
        assert code(error) == "RESOURCE_ALREADY_EXISTS"


def test_numbers_go_on_after_a_model_is_deleted_and_made_again(free: World, source: str) -> None:
    store = filled(free, source)
    store.delete_registered_model("fraud")
    with pytest.raises(MlflowException, match="spent"):
        store.rename_registered_model(store.create_registered_model("churn").name, "fraud")
    made = store.create_registered_model("fraud", description="Again.")
    assert (made.description, made.latest_versions) == ("Again.", [])
    assert store.create_model_version("fraud", source).version == 4
    with pytest.raises(MlflowException):
        store.get_model_version("fraud", 1)
    assert not free.registry.check().refusals(frozenset())


def test_a_stage_of_ours_is_shown_by_its_name_and_one_of_theirs_that_is_missing_is_said(
    world: World, source: str
) -> None:
    stages = tuple(FREE.stages[0].model_copy(update={"name": name}) for name in ("new", "canary", "production"))
    store = filled(freed(world, stages=stages), source, versions=1)
    assert store.get_model_version("fraud", 1).current_stage == "None"
    assert store.transition_model_version_stage("fraud", 1, "canary", False).current_stage == "canary"
    assert [mv.version for mv in store.get_latest_versions("fraud")] == [1]
    assert store.get_latest_versions("fraud", ["Staging"]) == []
    for stage, said in (("Staging", "it has None, canary, Production"), ("Nowhere", "Invalid Model Version stage")):
        with pytest.raises(MlflowException, match=said) as error:
            store.transition_model_version_stage("fraud", 1, stage, False)
        assert code(error) == "INVALID_PARAMETER_VALUE"


# ── what is stored


def test_a_source_that_cannot_be_read_is_refused_for_bytes_are_kept_here(free: World) -> None:
    store = store_of(free)
    store.create_registered_model("fraud")
    for source in ("/nowhere/model", "s3://no-such-bucket-here", "gone:/x", "", "file://elsewhere/x", "file:", "~"):
        with pytest.raises(MlflowException, match="cannot be read") as error:
            store.create_model_version("fraud", source)
        assert code(error) == "RESOURCE_DOES_NOT_EXIST"
    assert subjects(free)[0] == "register fraud"


def test_an_empty_description_is_none(free: World, source: str) -> None:
    store = store_of(free)
    assert store.create_registered_model("fraud", description="").description is None
    made = store.create_model_version("fraud", source, "", None, "", "")
    assert (made.description, made.run_id, made.run_link) == (None, None, None)


def test_ilike_knows_the_case_of_all_letters(free: World) -> None:
    store = store_of(free)
    store.create_registered_model("été")
    assert [model.name for model in store.search_registered_models("name ILIKE 'ÉT%'")] == ["été"]
    assert list(store.search_registered_models("name LIKE 'ÉT%'")) == []
    assert list(store.search_model_versions(f"version_number > {10**30}")) == []


def test_what_no_manifest_holds_is_refused_and_nothing_is_written(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    before = free.git("rev-parse", "main")
    for words in ("x" * 100_001, "lone \ud800"):
        for call in (lambda: store.create_registered_model("other", description=words), lambda: store.update_registered_model("fraud", words), lambda: store.create_model_version("fraud", source, description=words), lambda: store.update_model_version("fraud", 1, words)):  # fmt: skip # noqa: B023
            with pytest.raises(MlflowException) as error:
                call()
            assert code(error) == "INVALID_PARAMETER_VALUE"
            assert len(str(error.value)) < 300
    with pytest.raises(MlflowException, match="1 MiB"):
        store.create_registered_model("other", [RegisteredModelTag(f"k{n}", "v" * 4_000) for n in range(300)])
    assert free.git("rev-parse", "main") == before


def test_the_user_is_whoever_registered_it(free: World, source: str) -> None:
    assert filled(free, source, versions=1).get_model_version("fraud", 1).user_id == "Alice"


def test_a_prompt_is_a_model_whose_text_is_its_file(free: World) -> None:
    store = store_of(free)
    store.create_prompt("greeting", description="Says hello.", tags={"tone": "warm"})
    version = store.create_prompt_version("greeting", "Hello {{name}}, ようこそ", description="First.")
    assert (version.version, version.template) == (1, "Hello {{name}}, ようこそ")
    found = store.get_prompt_version("greeting", 1)
    assert found is not None
    assert found.template == "Hello {{name}}, ようこそ"
    assert [prompt.name for prompt in store.search_prompts()] == ["greeting"]
    assert [found.version for found in store.search_prompt_versions("greeting")] == [1]
    assert list(store.search_registered_models()) == [], "it is none of the models"
    assert list(store.search_model_versions()) == []
    with pytest.raises(MlflowException, match="name is already taken by a prompt") as error:
        store.create_registered_model("greeting")
    assert code(error) == "RESOURCE_ALREADY_EXISTS"
    artifact = free.registry.snapshot.known_version(Reference("greeting", 1)).artifacts[0]
    assert (artifact.format, artifact.file) == ("prompt", "model.txt")


def test_webhooks_are_the_forges(free: World) -> None:
    store = store_of(free)
    assert list(store.list_webhooks()) == []
    for call in (lambda: store.create_webhook("a", "https://example.com", []), lambda: store.get_webhook("a"), lambda: store.delete_webhook("a"), lambda: store.update_webhook("a"), lambda: store.test_webhook("a")):  # fmt: skip
        with pytest.raises(MlflowException) as error:
            call()
        assert code(error) == "NOT_IMPLEMENTED"


# ── many at once


def _create_some(root: str, source: str, database: str, count: int, made: Any) -> None:
    store = RegistryStore(store_uri=f"gitops://{root}", tracking_uri=database)
    for _ in range(count):
        made.put(store.create_model_version("fraud", source).version)


@pytest.mark.slow
def test_two_threads_and_four_processes_never_get_the_same_number(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    context = multiprocessing.get_context("fork")  # each opens a store of its own; starting Python is not what is tried
    made, mine = context.Queue(), []
    database = f"sqlite:///{free.root.parent}/runs.db"
    processes = [
        context.Process(target=_create_some, args=(str(free.root), source, database, 2, made)) for _ in range(4)
    ]
    threads = [
        threading.Thread(
            target=lambda: mine.extend(store.create_model_version("fraud", source).version for _ in range(2))
        )
        for _ in range(2)
    ]
    for one in (*processes, *threads):
        one.start()
    numbers = [made.get(timeout=150) for _ in range(8)]
    for one in (*processes, *threads):
        one.join()
    assert sorted((*numbers, *mine)) == list(range(2, 14))
    assert [mv.version for mv in store.search_model_versions(order_by=["version_number"])] == list(range(1, 14))


def test_a_fork_and_a_pickled_store_open_the_registry_anew(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    context = multiprocessing.get_context("fork")
    made = context.Queue()
    child = context.Process(target=lambda: made.put(store.create_model_version("fraud", source).version))
    child.start()
    assert made.get(timeout=60) == 2
    child.join()
    assert pickle.loads(pickle.dumps(store)).create_model_version("fraud", source).version == 3
    assert store.create_model_version("fraud", source).version == 4


# ── addresses


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("gitops:///srv/models", "/srv/models"), ("gitops:/srv/models", "/srv/models"), ("gitops:models", "models"),
        ("gitops:///srv/a%20b", "/srv/a b"), ("gitops+file:///srv/m.git", "file:///srv/m.git"),
        ("gitops+https://host/m.git", "https://host/m.git"), ("gitops+ssh://git@host/m.git", "ssh://git@host/m.git"),
    ],
)  # fmt: skip
def test_an_address_says_where_the_registry_is(uri: str, address: str) -> None:
    assert registry_address(uri) == address


def test_a_path_that_begins_in_this_folder_means_the_same_in_another(
    free: World, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(free.root.parent)
    store = RegistryStore(store_uri=f"gitops:{free.root.name}", tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    store.create_registered_model("fraud")
    store.create_model_version("fraud", source)
    monkeypatch.chdir("/")
    assert len(VersionFiles(store.get_model_version_download_uri("fraud", 1)).list_artifacts()) == 2


@pytest.mark.parametrize("uri", ["gitops:", "gitops://", "gitops://host/path", "sqlite:///x", "models"])
def test_what_is_no_address_is_said(uri: str) -> None:
    with pytest.raises(RegistryError, match="names"):
        registry_address(uri)


def test_no_registry_at_an_address_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(MlflowException) as error:
        RegistryStore(store_uri=f"gitops://{tmp_path}/nowhere")
    assert code(error) in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


def test_the_uri_of_files_is_read_back() -> None:
    uri = files_uri(Reference("my_x20_model", 3), "gitops:///srv/a b?c&d")
    assert files_at(uri) == ((Reference("my_x20_model", 3), "gitops:///srv/a b?c&d"), "")
    for wrong in (
        "gitops+models:///fraud/x?registry=y", "gitops+models:///fraud/1", "file:///fraud/1", "gitops+models:///fraud/٣?registry=y",
        "gitops+models://host/fraud/1?registry=y", "gitops+models:///fraud/1?registry=y&registry=z",
    ):  # fmt: skip
        with pytest.raises(RegistryError):
            files_at(wrong)


@pytest.mark.parametrize(
    "below", ["//{}", "/%2F{}", "/../../../../../../../../{}", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/{}", "/./MLmodel"]
)  # fmt: skip
def test_an_address_of_files_never_leads_out_of_the_version(
    free: World, source: str, tmp_path: Path, below: str
) -> None:
    store = filled(free, source, versions=1)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("a secret")
    path = below.format(str(tmp_path / "secrets").lstrip("/"))
    uri = f"gitops+models:///fraud/1{path}?registry=gitops://{free.root}"
    with pytest.raises(MlflowException, match="names no version's files"):
        VersionFiles(uri).list_artifacts()
    with pytest.raises(MlflowException, match="names no version's files"):
        store.create_model_version("fraud", uri)
    assert subjects(free)[0] == "register fraud 1"


def test_a_file_of_a_version_can_be_named_by_its_address(free: World, source: str, tmp_path: Path) -> None:
    uri = filled(free, source, versions=1).get_model_version_download_uri("fraud", 1)
    files = VersionFiles(uri.replace("/fraud/1?", "/fraud/1/weights.txt?"))
    assert Path(files.download_artifacts("", str(tmp_path))).read_text() == "1"


@pytest.mark.parametrize(
    "uri", ["gitops+http://user:hidden@host/x", "gitops://user:hidden@host/x", "gitops+https://u:hid/hidden@host/x", "mysql://u:hidden@host/x", "gitops://u:hidden@/x"]
)  # fmt: skip
def test_no_password_of_an_address_is_said_in_an_error(uri: str) -> None:
    for call in (lambda: RegistryStore(store_uri=uri), lambda: VersionFiles(f"gitops+models:///x/1?registry={uri}").list_artifacts(), lambda: VersionFiles(uri)):  # fmt: skip
        with pytest.raises(MlflowException) as error:
            call()
        assert "hid" not in str(error.value)


@pytest.mark.parametrize(
    "source", ["http://alice:hid@127.0.0.1:9/model?key=hid", "ftp://alice:hid@127.0.0.1:9/model", "http://127.0.0.1:9/m?sig=hid"]
)  # fmt: skip
def test_no_password_of_a_source_is_said_in_an_error(free: World, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    store = store_of(free)
    store.create_registered_model("fraud")
    with pytest.raises(MlflowException, match="cannot be read from") as error:
        store.create_model_version("fraud", source)
    assert "hid" not in str(error.value)


def test_mlflows_four_stages_are_ours() -> None:
    assert [naming.found_stage(FREE, theirs) for theirs in naming.STAGES] == [
        "development",
        "staging",
        "production",
        "archived",
    ]
    assert [naming.shown_stage(stage.name, "development") for stage in FREE.stages] == list(naming.STAGES)


# ── what the documentation says


def test_every_difference_in_the_documentation_has_its_test() -> None:
    root = Path(__file__).parents[1]
    told = re.findall(r"`(test_\w+)` \|$", (root / "docs" / "coming-from-mlflow.md").read_text(), re.MULTILINE)
    files = [*root.glob("tests/test_mlflow_*.py"), *root.glob("tests/e2e/test_mlflow_*.py")]
    there = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert len(told) > 15
    assert set(told) <= there


def test_a_tag_without_a_value_is_empty_text(free: World) -> None:
    made = store_of(free).create_registered_model("fraud", tags=[RegisteredModelTag("bare", None)])
    assert made.tags == {"bare": ""}


def test_deployment_jobs_are_ignored_as_mlflows_own_store_does(free: World) -> None:
    store = store_of(free)
    assert store.create_registered_model("fraud", deployment_job_id="7").deployment_job_id is None
    assert store.update_registered_model("fraud", "Payments.", deployment_job_id="8").deployment_job_id is None
    assert store.supports_workspaces is False


# ── elsewhere


def test_a_registry_at_a_url_is_decided_at_the_remote(free: World, source: str, tmp_path: Path) -> None:
    free.git("clone", "--quiet", "--bare", str(free.root), str(tmp_path / "bare.git"))
    uri = f"gitops+file://{tmp_path}/bare.git"
    store = RegistryStore(store_uri=uri, tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    store.create_registered_model("fraud")
    assert store.create_model_version("fraud", source).version == 1
    other = RegistryStore(store_uri=uri, tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    assert other.create_model_version("fraud", source).version == 2
    assert store.create_model_version("fraud", source).version == 3, "whoever writes looks first"
    files = VersionFiles(other.get_model_version_download_uri("fraud", 3))
    assert [(one.path, one.is_dir) for one in files.list_artifacts()] == [("MLmodel", False), ("weights.txt", False)]
    assert git(tmp_path / "bare.git", "log", "-1", "--format=%s", "main").strip() == "register fraud 3"


def test_the_files_of_a_version_are_a_copy_that_nobody_writes_to(free: World, source: str, tmp_path: Path) -> None:
    store = filled(free, source, versions=1)
    files = VersionFiles(store.get_model_version_download_uri("fraud", 1))
    target = tmp_path / "target"
    target.mkdir()
    assert Path(files.download_artifacts("weights.txt", str(target))).read_text() == "1"
    assert sorted(path.name for path in Path(files.download_artifacts("", str(target))).iterdir()) == [
        "MLmodel",
        "weights.txt",
    ]
    for call in (lambda: files.log_artifact(source), lambda: files.log_artifacts(source), files.delete_artifacts):
        with pytest.raises(MlflowException, match="immutable"):
            call()
    for path in ("nothing", "../weights.txt", "/etc/passwd"):
        with pytest.raises(MlflowException):
            files.download_artifacts(path, str(target))


def test_a_server_hands_out_files_of_no_other_registry_than_its_own(free: World, source: str, monkeypatch: Any) -> None:
    uri = filled(free, source, versions=1).get_model_version_download_uri("fraud", 1)
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", "sqlite:///runs.db")
    monkeypatch.setenv("_MLFLOW_SERVER_REGISTRY_STORE", f"gitops://{free.root}")
    assert len(VersionFiles(uri).list_artifacts()) == 2
    monkeypatch.setenv("_MLFLOW_SERVER_REGISTRY_STORE", "gitops:///srv/another")
    with pytest.raises(MlflowException, match="no other registry") as error:
        VersionFiles(uri)
    assert code(error) == "PERMISSION_DENIED"


def test_a_server_reads_proxied_artifacts_where_it_keeps_them_and_nowhere_else(tmp_path: Path) -> None:
    model_folder(tmp_path / "kept" / "1" / "run" / "model")
    (tmp_path / "secret").write_text("x")
    runs = Runs(None, {"_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(tmp_path / "kept")})
    for source in ("mlflow-artifacts:/1/run/model", "mlflow-artifacts://host:5000/1/run/model"):
        with runs.files(source, None) as folder:
            assert (folder / "weights.txt").read_text() == "1"
    for source in ("mlflow-artifacts:/../secret", "mlflow-artifacts:/1/%2e%2e/%2e%2e/secret", "mlflow-artifacts:/%252e%252e/secret"):  # fmt: skip
        with pytest.raises(MlflowException, match="Invalid path"), runs.files(source, None):
            pass


# ── who may


def test_only_whoever_may_delete_brings_a_deleted_name_back_and_nothing_under_it(free: World, source: str) -> None:
    store = filled(free, source, versions=1)
    store.delete_registered_model("fraud")
    before = free.registry.snapshot
    back = dict(edits.make_model(before, "fraud", {}))
    after = before.with_edits(back)
    changes = diff(before, after, after.changed_paths())
    assert needed(changes, before, before.constitution, Access()) == [("delete", "fraud")]
    assert not free.judged(back).refusals(frozenset())
    store.create_registered_model("fraud")
    store.create_model_version("fraud", source)
    assert list(free.registry.verify_log().breaches()) == [], "nor is it anything that an audit minds"
    model = after.known_model("fraud").model_copy(update={"deleted": ()})
    assert "numbering" in errors(free.judged({"models/fraud/model.yaml": dump(model, "models/fraud/model.yaml")}))


def test_a_registry_as_init_makes_it_lets_everything_move_after_what_the_page_says(tmp_path: Path, source: str) -> None:
    page = (Path(__file__).parents[1] / "docs" / "coming-from-mlflow.md").read_text()
    freer = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    assert "`git rm policies/production-*.yaml`" in page
    assert cli(tmp_path, "init", "registry").returncode == 0
    root = tmp_path / "registry"
    law = yaml.safe_load((root / "registry.yaml").read_text())
    (root / "registry.yaml").write_text(yaml.safe_dump({**law, **freer}, sort_keys=False))
    git(root, "rm", "--quiet", *(str(file) for file in root.glob("policies/production-*.yaml")))
    git(root, "commit", "--quiet", "--all", "--message", "as MLflow has it")
    store = RegistryStore(store_uri=f"gitops://{root}", tracking_uri=f"sqlite:///{tmp_path}/runs.db")
    store.create_registered_model("fraud")
    store.create_model_version("fraud", source)
    assert store.transition_model_version_stage("fraud", 1, "Production", True).current_stage == "Production"
