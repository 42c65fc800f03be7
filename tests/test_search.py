"""Search: what a filter finds, and a cache that may be deleted, broken, shared or forbidden at any moment."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builder import FINISHED_CARD, World, git
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_registry import paths, searching
from gitops_registry.catalog import file, rows, schema
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.manifest.facts import Framework, Person
from gitops_registry.reference import Reference
from gitops_registry.registry import Registry


def filled(world: World) -> World:
    """Two models with five versions that differ in everything a filter may name."""
    fraud = world.model(
        "fraud", title="Fraud", owners=("risk-team",), tags={"domain": "payments", "tier": "1"}, aliases={"champion": 2}
    )
    fraud.version(metrics={"accuracy": 0.85}, params={"depth": 3, "kernel": "rbf", "fast": True})
    fraud.version(
        metrics={"accuracy": 0.95, "f1": 0.9}, params={"depth": 12}, release="1.2.0",
        created=datetime(2026, 10, 1, 23, 59, 59, tzinfo=UTC), author=Person(name="Bob", email="bob@example.com"),
    )  # fmt: skip
    fraud.version(
        metrics={}, card=FINISHED_CARD.model_copy(update={"tags": {"domain": "cards"}, "description": "Tuned."})
    )
    fraud.in_stage("production", 2).in_stage("archived", 1).commit()
    churn = world.model("churn_model", description="Who leaves.", tags={"domain": "credit"})
    churn.version(
        task="regression",
        metrics={"r2": 0.6},
        model_type="Ridge",
        framework=Framework(name="scikit-learn", version="1.9.1"),
    )
    return churn.version(metrics={"accuracy": 0.99}, params={"note": "a 100% [new] *thing*?"}).commit()


@pytest.fixture(scope="module")
def shop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return filled(World(tmp_path_factory.mktemp("shop") / "world", template=template))


ALL = ["churn_model@1", "churn_model@2", "fraud@1", "fraud@2", "fraud@3"]


def names(registry: Registry, wanted: str, **how: Any) -> list[str]:
    return [str(found.reference) for found in registry.search(wanted, **how)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", ALL),
        ("name = fraud", ["fraud@1", "fraud@2", "fraud@3"]),
        ("name = FRAUD", ["fraud@1", "fraud@2", "fraud@3"]),
        ("name like 'churn%'", ["churn_model@1", "churn_model@2"]),
        ("name like 'churn_model'", ["churn_model@1", "churn_model@2"]),
        ("name ilike 'CHURN%'", ["churn_model@1", "churn_model@2"]),
        ("number > 1 and name != fraud", ["churn_model@2"]),
        ("number in (1, 3)", ["churn_model@1", "fraud@1", "fraud@3"]),
        ("stage = Production", ["fraud@2"]),
        ("stage = development", ["churn_model@1", "churn_model@2", "fraud@3"]),
        ("stage in ('archived', 'production')", ["fraud@1", "fraud@2"]),
        ("alias = champion", ["fraud@2"]),
        ("alias is not null", ["fraud@2"]),
        ("alias is null and name = fraud", ["fraud@1", "fraud@3"]),
        ("release = 1.2.0", ["fraud@2"]),
        ("release is null", ["churn_model@1", "churn_model@2", "fraud@1", "fraud@3"]),
        ("task = regression", ["churn_model@1"]),
        ("type = Ridge and framework = scikit-learn and framework_version like '1.9%'", ["churn_model@1"]),
        ("author = Bob", ["fraud@2"]),
        ("author = 'bob@example.com'", ["fraud@2"]),
        ("author != Alice", ["fraud@2"]),
        ("author like '%@example.com' and number = 1", ["churn_model@1", "fraud@1"]),
        ("created = 2026-10-01", ["fraud@2"]),
        ("created < 2026-10-02", ["fraud@2"]),
        ("created <= 2026-10-01", ["fraud@2"]),
        ("created < 2026-10-01", []),
        ("created > 2026-10-01", ["churn_model@1", "churn_model@2", "fraud@1", "fraud@3"]),
        ("created = '2026-10-01T23:59:59Z'", ["fraud@2"]),
        ("created >= '2026-10-02T00:00:00+09:00' and created < '2026-10-02'", ["fraud@2"]),
        ("created in (2026-10-01)", ["fraud@2"]),
        ("created != 2026-11-22", ["fraud@2"]),
        ("metrics.accuracy > 0.9", ["churn_model@2", "fraud@2"]),
        ("metrics.accuracy = 0.85", ["fraud@1"]),
        ("metrics.accuracy != 0.85", ["churn_model@2", "fraud@2"]),
        ("not metrics.accuracy > 0.9", ["churn_model@1", "fraud@1", "fraud@3"]),
        ("metrics.accuracy is null", ["churn_model@1", "fraud@3"]),
        ("metrics.accuracy > 0.9 and tags.domain = 'credit'", ["churn_model@2"]),
        ("params.depth > 9", ["fraud@2"]),
        ("params.depth = 3", ["fraud@1"]),
        ("params.depth = '3'", ["fraud@1"]),
        ("params.depth in (3, 4)", ["fraud@1"]),
        ("params.kernel = rbf", ["fraud@1"]),
        ("params.fast = true", ["fraud@1"]),
        ("params.note like '%100\\% [new] *thing*?'", []),
        ("params.note like '%[new] *thing*?'", ["churn_model@2"]),
        ("tags.domain = payments", ["fraud@1", "fraud@2"]),
        ("tags.domain = cards", ["fraud@3"]),
        ("tags.domain is null", []),
        ("tags.tier = 1", ["fraud@1", "fraud@2", "fraud@3"]),
        ("tags.none is null", ALL),
        ("description = 'Tuned.'", ["fraud@3"]),
        ("title = Fraud and owner = risk-team", ["fraud@1", "fraud@2", "fraud@3"]),
        ("owner is null", ["churn_model@1", "churn_model@2"]),
        ("owner != risk-team", ["churn_model@1", "churn_model@2"]),
        ("not (stage = development or stage = archived)", ["fraud@2"]),
        ("name = \"x' OR 1=1 --\"", []),
    ],
)  # fmt: skip
def test_a_filter_finds(shop: World, wanted: str, found: list[str]) -> None:
    assert names(shop.registry, wanted) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("metrics.accuracy desc", ["churn_model@2", "fraud@2", "fraud@1", "churn_model@1", "fraud@3"]),
        ("metrics.accuracy", ["fraud@1", "fraud@2", "churn_model@2", "churn_model@1", "fraud@3"]),
        ("params.depth desc, name desc", ["fraud@2", "fraud@1", "fraud@3", "churn_model@1", "churn_model@2"]),
        ("created, number desc", ["fraud@2", "fraud@3", "churn_model@2", "churn_model@1", "fraud@1"]),
        ("tags.domain, number", ["fraud@3", "churn_model@1", "churn_model@2", "fraud@1", "fraud@2"]),
    ],
)
def test_what_is_found_is_sorted_and_what_lacks_a_value_comes_last(shop: World, order: str, found: list[str]) -> None:
    assert names(shop.registry, "", order_by=order) == found
    assert names(shop.registry, "", order_by=order, limit=2) == found[:2]


def test_what_is_found_says_what_it_is(shop: World) -> None:
    (found,) = shop.registry.search("alias = champion")
    version = shop.registry.snapshot.known_version(Reference("fraud", 2))
    assert (found.reference, found.stage, found.aliases) == (Reference("fraud", 2), "production", ("champion",))
    assert (found.metrics, found.params, found.created) == (version.metrics, version.params, version.created)
    assert found.tags == {"domain": "payments", "tier": "1"}
    assert shop.registry.search("name = fraud and number = 3")[0].tags == {"domain": "cards", "tier": "1"}


def test_models_are_found_by_their_own_words_or_by_a_version_of_theirs(shop: World) -> None:
    find = lambda wanted, **how: [found.name for found in shop.registry.search_models(wanted, **how)]  # noqa: E731
    assert find("") == ["churn_model", "fraud"]
    assert find("metrics.accuracy > 0.9", order_by="metrics.accuracy") == ["fraud", "churn_model"]
    assert find("metrics.accuracy > 0", order_by="metrics.accuracy desc") == ["churn_model", "fraud"]
    assert find("owner = risk-team") == ["fraud"]
    (fraud,) = shop.registry.search_models("stage = production")
    assert (fraud.versions, fraud.state["stages"]["production"]) == ((1, 2, 3), [2])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("metrics.accuracy > high", "metrics.accuracy is compared with 'high', which is no number"),
        ("metrics.accuracy like '0.9%'", "has no pattern"),
        ("number = three", "which is no number"),
        ("params.depth > deep", "which is no number"),
        ("created > yesterday", "'yesterday' is no date"),
        ("created like '2026%'", "has no pattern"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_told(shop: World, wanted: str, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        shop.registry.search(wanted)
    with pytest.raises(RegistryError, match="there may be several"):
        shop.registry.search("", order_by="alias")


# ── an oracle that reads manifests and knows no SQL

FIELDS = st.sampled_from(["metrics.accuracy", "metrics.f1", "params.depth", "number"])
NUMBERS = st.sampled_from(["0.85", "0.95", "0.9", "1", "2", "3", "12"])
LEAVES = st.one_of(
    st.tuples(FIELDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), NUMBERS),
    st.tuples(st.sampled_from(["tags.domain", "stage", "name"]), st.sampled_from(["=", "!=", "like"]),
              st.sampled_from(["'payments'", "'cards'", "'production'", "'development'", "'fraud'", "'%c%'"])),
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner)
)


def spelled(tree: Any) -> str:
    if tree[0] == "not":
        return f"not ({spelled(tree[1])})"
    if tree[0] in {"and", "or"}:
        return f"({spelled(tree[1])}) {tree[0]} ({spelled(tree[2])})"
    return " ".join(tree)


def holds(tree: Any, known: dict[str, Any]) -> bool:
    if tree[0] == "not":
        return not holds(tree[1], known)
    if tree[0] in {"and", "or"}:
        return (all if tree[0] == "and" else any)(holds(part, known) for part in tree[1:])
    field, operator, text = tree
    if field not in known:
        return False
    left, right = known[field], text.strip("'") if text.startswith("'") else float(text)
    if operator == "like":
        return fnmatch.fnmatchcase(left, right.replace("%", "*"))
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_search_agrees_with_reading_every_manifest(shop: World, tree: Any) -> None:
    snapshot = shop.registry.snapshot
    wanted = []
    for reference in [Reference(name, n) for name in snapshot.live_models() for n in snapshot.versions(name)]:
        version, model = snapshot.known_version(reference), snapshot.known_model(reference.name)
        known = {f"metrics.{name}": value for name, value in version.metrics.items()}
        known |= {f"params.{name}": value for name, value in version.params.items()}
        known |= {f"tags.{name}": value for name, value in {**model.tags, **snapshot.card(*reference).tags}.items()}
        known |= {"name": reference.name, "number": reference.number, "stage": snapshot.stage_of(reference)}
        wanted += [str(reference)] if holds(tree, known) else []
    assert names(shop.registry, spelled(tree)) == sorted(wanted)


# ── a cache that follows commits


def content(world: World) -> list[tuple[Any, ...]]:
    """Return what the cache shows, whatever numbers its documents have."""
    with sqlite3.connect(cache(world)) as connection:
        shown = []
        for table, columns in {"model": "name, title, owners", "alias": "model, alias, number",
                               "version": "model, number, stage, created, author, description"}.items():  # fmt: skip
            shown += connection.execute(f"SELECT '{table}', {columns} FROM {table}").fetchall()
        return sorted(shown, key=repr)


def cache(world: World) -> Path:
    return world.root / ".git" / "gitops-registry" / "search.sqlite"


def test_after_every_kind_of_change_the_cache_shows_what_a_new_one_would(world: World) -> None:
    filled(world)
    registry = world.registry
    parsed = []
    steps: list[Callable[[], object]] = [
        lambda: registry.set_alias("fraud", "best", 3, direct=True),
        lambda: registry.describe("fraud", 3, description="New.", tags={"tier": "2"}, direct=True),
        lambda: registry.describe("fraud", title="Fraud 2", direct=True),
        lambda: registry.archive("fraud", 3, direct=True),
        lambda: registry.delete("fraud", 1, direct=True),
        lambda: registry.rename("fraud", "payments", direct=True),
        lambda: registry.delete("churn_model", direct=True),
        lambda: world.commit({paths.card_path("payments", 2): None}),
        lambda: world.git("reset", "--hard", "--quiet", "HEAD~5"),
    ]  # fmt: skip
    for step in steps:
        step()
        found = [one.to_json() for one in world.registry.search()]
        moved = content(world)
        cache(world).unlink()
        assert [one.to_json() for one in world.registry.search()] == found
        assert content(world) == moved
        parsed.append(len(moved))
    assert len(set(parsed)) > 2


def test_only_what_differs_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(world)
    read = []
    parse = searching.parse
    monkeypatch.setattr(searching, "parse", lambda data, path, kind: read.append(path) or parse(data, path, kind))
    world.registry.search()
    assert sorted(read) == ["card"] * 2 + ["model"] * 2 + ["version"] * 5  # equal words are one object
    read.clear()
    world.registry.set_alias("fraud", "best", 3, direct=True)
    world.registry.search()
    assert read == ["model"]
    Registry.open(world.root, revision="HEAD~1").search()
    world.registry.rename("fraud", "payments", direct=True)
    read.clear()
    assert names(world.registry, "number = 3") == ["payments@3"]
    assert read == ["model"] * len(read)


def test_the_past_and_the_present_are_searched_in_turn(world: World) -> None:
    filled(world)
    world.registry.archive("fraud", 3, direct=True)
    for _ in range(2):
        assert names(world.registry, "stage = archived") == ["fraud@1", "fraud@3"]
        assert names(Registry.open(world.root, revision="HEAD~1"), "stage = archived") == ["fraud@1"]


def test_another_first_stage_is_seen(world: World) -> None:
    filled(world)
    assert len(names(world.registry, "stage = development")) == 3
    text = world.read(paths.CONSTITUTION).decode().replace("development", "drafts")
    world.commit({paths.CONSTITUTION: text.encode()})
    assert len(names(world.registry, "stage = drafts")) == 3


def test_a_manifest_that_cannot_be_read_is_no_version_and_no_obstacle(world: World) -> None:
    filled(world)
    world.commit({paths.version_path("fraud", 1): b"kind: [", paths.card_path("fraud", 2): b"\xff"})
    assert names(world.registry, "name = fraud") == ["fraud@2", "fraud@3"]


def test_words_come_back_with_a_version_that_was_broken_for_a_while(world: World) -> None:
    filled(world)
    path = paths.version_path("fraud", 3)
    good = world.read(path)
    for broken in (b"kind: [", None):
        world.commit({path: broken})
        assert names(world.registry, "tags.domain = cards") == []
        world.commit({path: good})
        (found,) = world.registry.search("tags.domain = cards")
        assert found.description == "Tuned."


def test_a_model_renamed_in_case_only_is_found(world: World) -> None:
    filled(world)
    world.registry.search()
    world.git("mv", "models/fraud", "models/other")
    world.git("mv", "models/other", "models/Fraud")
    world.git("commit", "--quiet", "--all", "--message", "case")
    assert len(names(world.registry, "name = fraud")) == 3


def test_an_object_that_git_lost_is_told_and_found_again_when_it_is_back(world: World) -> None:
    filled(world)
    oid = world.git("rev-parse", f"HEAD:{paths.version_path('fraud', 2)}").strip()
    lost = world.root / ".git" / "objects" / oid[:2] / oid[2:]
    away = lost.with_name("away")
    for pack in (world.root / ".git" / "objects" / "pack").glob("*.pack"):
        packed = world.root / pack.name
        pack.rename(packed)
        with packed.open("rb") as stdin:
            subprocess.run(["git", "-C", str(world.root), "unpack-objects", "-q"], stdin=stdin, check=True)
    lost.rename(away)
    with pytest.raises(Damaged, match="git has lost an object"):
        world.registry.search()
    away.rename(lost)
    assert names(world.registry, "") == ALL


# ── a cache that is broken, shared or forbidden


def break_by(how: str, target: Path) -> None:
    data = target.read_bytes()
    if how == "nonsense":
        target.write_bytes(b"no database at all " * 500)
    elif how == "truncated":
        target.write_bytes(data[: len(data) // 2 - 100])
    elif how == "empty":
        target.write_bytes(b"")
    elif how == "zeros":
        target.write_bytes(data[:4096] + b"\0" * (len(data) - 4096))
    elif how == "altered":
        assert data.count(b'"accuracy": 0.95') == 1
        target.write_bytes(data.replace(b'"accuracy": 0.95', b'"accuracy": 0.15'))
    elif how == "another's":
        target.unlink()
        with sqlite3.connect(target) as connection:
            connection.execute("CREATE TABLE version (x)")
    elif how == "newer":
        with sqlite3.connect(target) as connection:
            connection.execute("PRAGMA user_version = 999")
    elif how == "without tables":
        with sqlite3.connect(target) as connection:
            connection.execute("DROP TABLE alias")
    elif how == "a folder":
        target.unlink()
        target.mkdir()


@pytest.mark.parametrize(
    "how", ["nonsense", "truncated", "empty", "zeros", "altered", "another's", "newer", "without tables", "a folder"]
)
def test_a_broken_cache_is_made_anew_and_never_believed(how: str, shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    wanted = [found.to_json() for found in world.registry.search()]
    break_by(how, cache(world))
    assert [found.to_json() for found in world.registry.search()] == wanted
    assert names(world.registry, "alias = champion") == ["fraud@2"]
    if how != "a folder":
        with sqlite3.connect(cache(world)) as connection:
            assert connection.execute("SELECT count(*) FROM version").fetchone() == (5,)


def test_rows_that_are_missing_are_noticed(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    world.registry.search()
    for table, key in {"version": "number = 3", "metric": "1", "tag": "1", "card": "1", "alias": "1"}.items():
        with sqlite3.connect(cache(world)) as connection:
            connection.execute(f"DROP TRIGGER {table}_out")  # a disk that loses rows tells nobody
            connection.execute(f"DELETE FROM {table} WHERE {key}")
        assert names(world.registry, "") == ALL
        assert names(world.registry, "tags.domain = cards or metrics.accuracy > 0.9 or alias = champion") == [
            "churn_model@2",
            "fraud@2",
            "fraud@3",
        ]


def test_a_filter_that_is_too_much_costs_nobody_the_cache(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    world.registry.search()
    before = cache(world).stat().st_ino
    for wanted in (
        "not " * 14 + "name = fraud",
        "(" * 14 + "name = fraud" + ")" * 14,
        " or ".join(["not (name = a)"] * 200),
    ):
        world.registry.search(wanted)
    assert len(world.registry.search(limit=10**20)) == 5
    assert cache(world).stat().st_ino == before


def test_every_byte_of_a_row_that_is_shown_is_checked(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    world.registry.search()
    with sqlite3.connect(cache(world)) as connection:
        connection.execute("UPDATE version SET stage = 'production' WHERE number = 3")
    assert names(world.registry, "stage = production") == ["fraud@2"]


def test_without_a_place_to_write_the_answer_is_the_same(
    shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    shutil.rmtree(cache(world).parent)
    cache(world).parent.write_text("a file where the folder would be")
    assert names(world.registry, "") == ALL
    cache(world).parent.unlink()
    world.registry.search()
    monkeypatch.setattr(file, "_BUSY_SECONDS", 0.1)
    with sqlite3.connect(cache(world), isolation_level=None) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        world.registry.set_alias("fraud", "best", 3, direct=True)
        assert names(world.registry, "alias = best") == ["fraud@3"]


def searcher(world: World, times: int) -> subprocess.Popen[str]:
    code = (
        "import sys, json\nfrom gitops_registry import Registry\n"
        f"for _ in range({times}):\n    r = Registry.open(sys.argv[1])\n    found = r.search()\n"
        "    assert [str(f.reference) for f in found] == sorted(str(f.reference) for f in found), found\n"
        "    assert len(found) >= 5, found\nprint(len(found))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(world.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_many_search_while_others_write_and_one_breaks_the_file(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    processes = [searcher(world, 15) for _ in range(4)]
    for number in range(6):
        world.registry.set_alias("fraud", f"best-{number}", 3, direct=True)
        if number % 2 and cache(world).exists():
            cache(world).write_bytes(b"broken" * 1000)
        else:
            world.registry.search()
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out.strip()) == (0, "5"), err
    assert names(world.registry, "alias is not null") == ["fraud@2", "fraud@3"]


def test_a_search_that_is_killed_leaves_a_cache_that_answers(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    shutil.rmtree(cache(world).parent)
    for wait in (0.25, 0.35, 0.45, 0.6):
        process = searcher(world, 1000)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert names(world.registry, "") == ALL


def test_a_linked_work_tree_shares_the_cache(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    git(world.root, "worktree", "add", "--quiet", str(tmp_path / "linked"), "HEAD")
    assert names(Registry.open(tmp_path / "linked"), "") == ALL
    assert cache(world).exists()


def test_what_the_tables_hold_has_the_version_it_was_written_with() -> None:
    """Whoever changes the tables, or what a manifest may hold, raises `schema.VERSION` and writes the new sum here."""
    schemas = {role: kind.model_json_schema() for role, kind in rows.ROLES.items()}
    found = hashlib.sha256(json.dumps([schema.SCHEMA, schemas], sort_keys=True).encode()).hexdigest()
    assert (schema.VERSION, found[:16]) == (3, "baba1934066dfc5c")


# ── the command


def test_the_command_prints_what_was_asked_for(shop: World) -> None:
    told = shop.cli("search", "metrics.f1 > 0.5 or params.depth = 3", "--order-by", "tags.tier").stdout
    assert told.splitlines()[0].split() == [
        "version",
        "stage",
        "aliases",
        "f1",
        "accuracy",
        "depth",
        "tier",
        "created",
        "author",
    ]
    assert told.splitlines()[1].split()[:2] == ["fraud@1", "archived"]
    found = json.loads(shop.cli("search", "stage = production", "--json").stdout)
    assert [(one["version"], one["aliases"], one["metrics"]) for one in found] == [
        ("fraud@2", ["champion"], {"accuracy": 0.95, "f1": 0.9})
    ]
    assert "more than 2 were found" in shop.cli("search", "-n", "2").stdout
    assert "fraud" in shop.cli("search", "--models", "owner = risk-team").stdout
    assert shop.cli("search", "name = nobody").stdout == "nothing found\n"
    said = shop.cli("search", "metrics.acuracy > 0.1 and params.colour = red and name = fraud").stdout
    assert said.splitlines()[:2] == ["nothing found", "no version has metrics.acuracy; did you mean accuracy?"]
    assert "no version has params.colour; there is" in said
    assert shop.cli("search", "metrics.accuracy > 0.999").stdout == "nothing found\n"
    refused = shop.cli("search", "accuracy > 1", check=2)
    assert "there is no field 'accuracy'" in refused.stderr
    assert "a metric is metrics.accuracy, a parameter params.accuracy, a tag tags.accuracy" in refused.stderr
    assert "did you mean name?" in shop.cli("search", "nam = a", check=2).stderr


def test_an_index_that_points_nowhere_is_not_believed(shop: World, tmp_path: Path) -> None:
    world = World(tmp_path / "copy", template=shop.root)
    world.registry.search()
    with sqlite3.connect(cache(world)) as connection:
        connection.execute("DELETE FROM document WHERE kind = 'model'")
    world.registry.set_alias("fraud", "best", 3, direct=True)
    assert names(world.registry, "alias = best") == ["fraud@3"]
