"""MLflow's own store is the measure: whatever is called in whatever order, ours answers and refuses as it does."""

from __future__ import annotations

import shutil
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builder import World
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.utils.search_utils import SearchUtils
from mlflow_pair import Pair, Template

NAMES = ("fraud", "Fraud", "my model", "モデル", "churn.v2", "a_x20_b", "greeting")
names = st.sampled_from(NAMES)
asked_names = st.sampled_from((*NAMES, "nobody", "bad/name", ""))
stages = st.sampled_from(("Production", "production", "Staging", "STAGING", "Archived", "None"))
asked_stages = st.sampled_from(("Production", "staging", "Archived", "none", "Nowhere"))
numbers: st.SearchStrategy[Any] = st.sampled_from((1, 1, 2, 2, 3, 4, 0, "x"))
words = st.sampled_from(("", "Scores payments.", "不正検知\n二行目", None))
keys = st.sampled_from(("domain", "my key", "mlflow.note", "日本", "bad=key", ""))
values = st.sampled_from(("credit", "Credit", "", "1", "yes", "two\nlines", "\x07", "%_"))
aliases = st.sampled_from(
    ("champion", "Champion", "production", "7", "latest", "v3", "チャンプ", "-x", "bad alias", "")
)
runs = st.sampled_from((None, "a" * 32, "b" * 32))
VERSION_FILTERS = (
    None, "", "name = 'fraud'", "name != 'fraud'", "name LIKE 'f%'", "name ILIKE 'F%'", "name IN ('fraud', 'モデル')",
    "name NOT IN ('fraud')", "run_id = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "run_id != 'x'", "run_id IN ('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb')",
    "source_path LIKE '%source'", "source_path IN ('a')", "tags.domain = 'credit'", "tags.domain != 'credit'", "tags.domain LIKE 'C%'",
    "tags.domain ILIKE 'c%' AND name = 'fraud'", "tag.`my key` = '1'", "tags.domain > 'a'", "tags.domain = 'credit' AND tags.`my key` = '1'",
    "version = 1", "stage = 'Production'", "name = fraud", "name = 'a' OR name = 'b'", "run_id > 'a'", "nonsense", "tags.domain IN ('credit')",
    "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'",
)  # fmt: skip
MODEL_FILTERS = (
    None, "name = 'fraud'", "name != 'fraud'", "name LIKE '%r%'", "name ILIKE 'FRAUD'", "name IN ('fraud', 'Fraud')", "name NOT IN ('fraud')",
    "tags.domain = 'credit'", "tags.domain != 'credit'", "tags.domain LIKE '%'", "tags.domain = 'credit' AND name LIKE 'f%'",
    "name > 'a'", "tags.domain < 'x'", "last_updated_timestamp > 1", "run_id = 'x'", "name = 1", "nonsense",
    "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'",
)  # fmt: skip
PROMPT_FILTERS = (None, "name = 'greeting'", "name LIKE '%r%'", "tags.tone = 'warm'", "tags.tone != 'warm'", "experiment_id = '1'", "experiment_id = 'x'", "tone = 'x'", "nonsense")  # fmt: skip
VERSION_ORDERS = (["name"], ["name DESC", "version_number ASC"], ["version_number DESC", "name"], ["name", "name"], ["run_id"], ["version_number asc", "name desc"], ["tags.domain"])  # fmt: skip
MODEL_ORDERS = (None, ["name"], ["name DESC"], ["version_number"], ["name", "name ASC"], ["nonsense DESC"])


class Alike(RuleBasedStateMachine):
    """Calls one method after the other on both stores."""

    template: Template

    def __init__(self) -> None:
        super().__init__()
        self._scratch = tempfile.TemporaryDirectory(prefix="alike-")
        self.pair: Pair = self.template.pair(Path(self._scratch.name))
        self.spent: set[str] = set()
        self.renamed = 0

    def teardown(self) -> None:
        self.pair.close()
        self._scratch.cleanup()

    def _highest(self, name: str) -> int:
        """Return the highest number that a model ever had here."""
        with self.pair.ours._desk.looking() as view:
            model = view.model(name)
            return max((0, *view.snapshot.versions(model.name), *model.deleted))

    # ── models

    @rule(name=asked_names, description=words, tags=st.dictionaries(keys, values, max_size=2))
    def create_model(self, name: str, description: str | None, tags: dict[str, str]) -> None:
        if name not in self.spent:  # a name that a model was renamed from is nobody's here
            given = [RegisteredModelTag(key, value) for key, value in tags.items()]
            self.pair.call("create_registered_model", given, description, model=name)

    @rule(name=names, description=words)
    def describe_model(self, name: str, description: str | None) -> None:
        self.pair.call("update_registered_model", description, model=name)

    @rule(name=names, to=st.sampled_from(("fresh", "fraud", "bad:name", "")))
    def rename(self, name: str, to: str) -> None:
        self.renamed += 1
        new = f"renamed {self.renamed}" if to == "fresh" else to
        if to == "fraud" and self.pair.asked_of_theirs("get_registered_model", new) == "error RESOURCE_DOES_NOT_EXIST":
            return  # it was deleted: its name is not given to another model here
        self.pair.shift[new] = self.pair.shift.get(name, 0) if to == "fresh" else self.pair.shift.get(new, 0)
        if not isinstance(self.pair.call("rename_registered_model", new, model=name), str) and new != name:
            self.spent.add(name)

    @rule(name=names)
    def delete_model(self, name: str) -> None:
        there = self.pair.call("get_registered_model", model=name)
        highest = self._highest(name) if not isinstance(there, str) else 0
        if self.pair.call("delete_registered_model", model=name) is None:
            self.pair.shift[name] = highest

    @rule(name=asked_names, key=keys, value=values)
    def tag_model(self, name: str, key: str, value: str) -> None:
        self.pair.call("set_registered_model_tag", RegisteredModelTag(key, value), model=name)

    @rule(name=names, key=keys)
    def untag_model(self, name: str, key: str) -> None:
        self.pair.call("delete_registered_model_tag", key, model=name)

    # ── prompts

    @rule(name=st.sampled_from(("greeting", "fraud")), tone=st.sampled_from(("warm", "cold")))
    def create_prompt(self, name: str, tone: str) -> None:
        if name not in self.spent:
            self.pair.call("create_prompt", "Says it.", {"tone": tone, "_mlflow_experiment_ids": ",1,2,"}, model=name)

    @rule(name=st.sampled_from(("greeting", "fraud")), text=st.sampled_from(("Hello {{name}}", "こんにちは\n", "")))
    def create_prompt_version(self, name: str, text: str) -> None:
        self.pair.call("create_prompt_version", text, "First.", {"by": "alice"}, model=name)

    @rule(name=names, number=st.sampled_from((1, 2, "x")), alias=aliases)
    def look_at_prompt(self, name: str, number: Any, alias: str) -> None:
        self.pair.call("get_prompt", model=name)
        self.pair.call("get_prompt_version", model=name, version=number)
        self.pair.call("get_prompt_version_by_alias", alias, model=name)
        self.pair.call("search_prompt_versions", model=name)

    @rule(text=st.sampled_from(PROMPT_FILTERS), size=st.sampled_from((None, 1, 1_001)))
    def search_prompts(self, text: str | None, size: int | None) -> None:
        self._pages("search_prompts", text, size, None)

    # ── versions

    @rule(name=names, number=st.sampled_from((1, 2)), to=names)
    def copy_version(self, name: str, number: int, to: str) -> None:
        if to not in self.spent and not self.pair.shift.get(name):  # the copy says which number it is of
            self.pair.copy(name, number, to)

    @rule(name=names, run=runs, description=words, tags=st.dictionaries(keys, values, max_size=1))
    def create_version(self, name: str, run: str | None, description: str | None, tags: dict[str, str]) -> None:
        given = [ModelVersionTag(key, value) for key, value in tags.items()]
        self.pair.call("create_model_version", self.pair.source, run, given, "http://run", description, model=name)

    @rule(name=names)
    def create_two_versions(self, name: str) -> None:
        self.pair.call("create_registered_model", model=name) if name not in self.spent else None
        for _ in range(2):
            self.pair.call("create_model_version", self.pair.source, model=name)

    @rule(name=names, number=numbers, description=words)
    def describe_version(self, name: str, number: Any, description: str | None) -> None:
        self.pair.call("update_model_version", description, model=name, version=number)

    @rule(name=names, number=numbers, stage=stages, archives=st.booleans())
    def move(self, name: str, number: Any, stage: str, archives: bool) -> None:
        self.pair.call("transition_model_version_stage", stage, archives, model=name, version=number)

    @rule(name=names, number=numbers)
    def delete_version(self, name: str, number: Any) -> None:
        self.pair.call("delete_model_version", model=name, version=number)

    @rule(name=names, number=numbers, key=keys, value=values)
    def tag_version(self, name: str, number: Any, key: str, value: str) -> None:
        self.pair.call("set_model_version_tag", ModelVersionTag(key, value), model=name, version=number)

    @rule(name=names, number=numbers, key=keys)
    def untag_version(self, name: str, number: Any, key: str) -> None:
        self.pair.call("delete_model_version_tag", key, model=name, version=number)

    @rule(name=names, number=numbers, alias=aliases)
    def name_version(self, name: str, number: Any, alias: str) -> None:
        self.pair.call("set_registered_model_alias", alias, model=name, version=number)

    @rule(name=names, alias=aliases)
    def unname_version(self, name: str, alias: str) -> None:
        self.pair.call("delete_registered_model_alias", alias, model=name)

    # ── questions

    @rule(name=asked_names, number=numbers, alias=aliases)
    def look(self, name: str, number: Any, alias: str) -> None:
        self.pair.call("get_registered_model", model=name)
        self.pair.call("get_model_version", model=name, version=number)
        self.pair.call("get_model_version_by_alias", alias, model=name)

    @rule(name=asked_names, wanted=st.none() | st.lists(asked_stages, max_size=2))
    def latest(self, name: str, wanted: list[str] | None) -> None:
        self.pair.call("get_latest_versions", wanted, model=name)

    @rule(
        text=st.sampled_from(VERSION_FILTERS),
        order=st.sampled_from(VERSION_ORDERS),
        size=st.sampled_from((1, 2, 100, 0, 200_001)),
    )
    def search_versions(self, text: str | None, order: list[str], size: int) -> None:
        self._pages("search_model_versions", text, size, order)

    @precondition(lambda self: not any(self.pair.shift.values()))
    @rule(text=st.sampled_from(("version_number = 1", "version_number > 1", "version_number <= '2'", "version_number LIKE '1'", "version_number = 1.5", "version_number != 2")))  # fmt: skip
    def search_numbers(self, text: str) -> None:
        self._pages("search_model_versions", text, 100, ["name", "version_number"])

    @rule(
        text=st.sampled_from(MODEL_FILTERS),
        order=st.sampled_from(MODEL_ORDERS),
        size=st.sampled_from((1, 2, 100, 1_001)),
    )
    def search_models(self, text: str | None, order: list[str] | None, size: int) -> None:
        self._pages("search_registered_models", text, size, order)

    def _pages(self, method: str, text: str | None, size: int | None, order: Any) -> None:
        token = None
        for _ in range(4):
            answer = self.pair.call(method, text, size, order, token)
            token = None if isinstance(answer, str) else answer[1]
            if not token:
                return


@pytest.fixture(scope="module")
def pairs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    root = tmp_path_factory.mktemp("alike")
    return Template(World(root / "registry", template=template), root)


# ── one call


@pytest.fixture(scope="module")
def begun(pairs: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the registry and the database after a model got two versions, the first in production."""
    root = tmp_path_factory.mktemp("begun")
    found = pairs.pair(root)
    found.call("create_registered_model", [RegisteredModelTag("domain", "credit")], "Scores.", model="fraud")
    for word in ("credit", "it's"):
        found.call("create_model_version", found.source, None, [ModelVersionTag("domain", word)], model="fraud")
    found.call("transition_model_version_stage", "Production", False, model="fraud", version=1)
    found.call("set_registered_model_alias", "champion", model="fraud", version=1)
    found.close()
    return root


@pytest.fixture
def pair(pairs: Template, begun: Path, tmp_path: Path) -> Iterator[Pair]:
    """Both stores of the test's own with that model."""
    found = copied(pairs, begun, tmp_path)
    yield found
    found.close()


def copied(pairs: Template, folder: Path, target: Path) -> Pair:
    """Return both stores on copies of what is in a folder."""
    shutil.copyfile(folder / "mlflow.db", target / "mlflow.db")
    return Pair(World(target / "registry", template=folder / "registry"), target / "mlflow.db", pairs.source)


ODD = (None, 0, -1, True, "", " ", "fraud ", "\x00", "a\nb", 1.5, [], {}, b"fraud", "１", "nobody", "bad/name")


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_an_odd_argument_is_refused_as_mlflows_own_store_refuses_it(pair: Pair, odd: Any) -> None:
    for method in ("get_registered_model", "get_latest_versions", "delete_registered_model"):
        pair.call(method, odd)
    for method in ("get_model_version", "get_model_version_download_uri", "delete_model_version"):
        pair.call(method, odd, 1)
    pair.call("update_registered_model", odd, "words")
    pair.call("rename_registered_model", odd, "other")
    pair.call("get_latest_versions", "fraud", odd)
    pair.call("get_latest_versions", "fraud", [odd])
    pair.call("get_model_version", "fraud", odd)
    pair.call("get_model_version_by_alias", "fraud", odd)
    pair.call("get_model_version_by_alias", odd, "champion")
    pair.call("update_model_version", "fraud", odd, "words")
    pair.call("transition_model_version_stage", "fraud", odd, "Staging", False)
    for archives in (False, True):
        pair.call("transition_model_version_stage", "fraud", 2, odd, archives)
    pair.call("set_model_version_tag", "fraud", odd, ModelVersionTag("a", "b"))
    pair.call("set_model_version_tag", "fraud", 1, ModelVersionTag(odd, "b"))
    pair.call("set_registered_model_tag", "fraud", RegisteredModelTag(odd, "b"))
    pair.call("set_registered_model_alias", odd, model="fraud", version=1)
    for method in ("delete_registered_model_tag", "delete_registered_model_alias"):
        pair.call(method, "fraud", odd)
    pair.call("delete_model_version_tag", "fraud", 1, odd)
    for method in ("search_model_versions", "search_registered_models"):
        for arguments in ((None, odd), (None, 100, odd), (None, 100, [odd]), (None, 100, None, odd)):
            if odd != [] or len(arguments) != 4:
                pair.call(method, *arguments)
    pair.call("create_registered_model", odd)


TOKENS = (None, *(SearchUtils.create_page_token(offset) for offset in (-1, 0, 1, 2, 9)), "x", b64encode(b"{}").decode(), b64encode(b'{"offset": "1"}').decode(), b64encode(b'{"offset": null}').decode())  # fmt: skip


@pytest.mark.parametrize("method", ["search_model_versions", "search_registered_models"])
def test_pages_begin_and_end_where_mlflows_own_store_has_them(pair: Pair, method: str) -> None:
    for name in ("churn", "Fraud"):
        pair.call("create_registered_model", model=name)
        pair.call("create_model_version", pair.source, model=name)
    for token in TOKENS:
        for size in (1, 2, 3, 1_000, 1_001, 200_000, 200_001, -1, -5, 0, True, 1.5, "3"):
            pair.call(method, None, size, ["name"], token)


WHOLE = (
    "name = ('fraud')", "name = ('fraud', 'churn')", "name != ('fraud')", "name LIKE ('fraud', 'x')", "run_id != ('a', 'b')", "name IN ()", "name IN (1)",
    "name = 'fraud' AND name LIKE 'f%'", "(name = 'fraud')", "name = 'fraud'; DROP", "name = 'fraud' --", "name = 'fraud' AND", "name = 'it''s'", 'name = "fraud"',
    "`name` = 'fraud'", "attribute.name = 'fraud'", "attributes.name = 'fraud'", "tags.'domain' = 'credit'", 'tags."domain" = "it\'s"', "tags.domain = 'it''s'",
    "tags.domain = 'it\\'s'", "tags.`no such` != 'x'", "tags. = 'x'", "tags.`` = 'x'", "name IS NULL", "name BETWEEN 'a' AND 'b'", "name NOT LIKE 'f%'",
    "tags.domain = 'credit' AND tags.domain != 'x' AND tags.domain LIKE 'c%'", "version_number IN (1, 2)", "creation_timestamp > 1", "current_stage = 'None'", "   ",
)  # fmt: skip
ORDERS = ("name", "name  desc", "NAME", "`name`", "'name'", "name, version_number", "name,name", "attribute.name", "tags.domain", "name foo", "", " name", "name;", "`version_number` DESC", "version", "run_id asc")  # fmt: skip


@pytest.mark.parametrize("method", ["search_model_versions", "search_registered_models"])
def test_filters_and_orders_are_read_as_mlflows_own_store_reads_them(pair: Pair, method: str) -> None:
    for text in WHOLE:
        pair.call(method, text, 100, ["name"])
    for order in ORDERS:
        for wanted in ([order], [order, "name"], ["name", order], order):
            pair.call(method, None, 100, wanted)


# ── what changed last

STEPS = (
    "create",
    "describe",
    "describe model",
    "move",
    "move and archive",
    "copy",
    "delete",
    "rename",
    "tag",
    "name",
    "make",
)
LATELY = (None, ["last_updated_timestamp"], ["last_updated_timestamp DESC"], ["creation_timestamp"], ["name", "creation_timestamp DESC"])  # fmt: skip
MODELS_LATELY = (["last_updated_timestamp"], ["timestamp DESC"], ["last_updated_timestamp DESC", "name DESC"])


@pytest.fixture(scope="module")
def two(pairs: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the registry and the database after two models got two versions each."""
    root = tmp_path_factory.mktemp("two")
    found = pairs.pair(root)
    for name in ("fraud", "churn"):
        found.call("create_registered_model", model=name)
        for _ in range(2):
            found.call("create_model_version", found.source, model=name)
    found.close()
    return root


@pytest.mark.slow
@settings(
    max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,), database=None
)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=6, max_size=8))
def test_what_changed_last_is_found_where_mlflows_own_store_finds_it(
    pairs: Template, two: Path, steps: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="alike-") as scratch:
        pair = copied(pairs, two, Path(scratch))
        names = ["fraud", "churn"]
        for at, (step, chosen) in enumerate(steps):
            _step(pair, names, step, chosen, at)
            for order in LATELY:
                pair.call("search_model_versions", None, 100, order)
            for order in MODELS_LATELY:
                pair.call("search_registered_models", None, 100, order)
        pair.close()


def _step(pair: Pair, names: list[str], step: str, chosen: int, at: int) -> None:
    """Make a call that changes something: one that changes nothing counts for MLflow's store and not for ours."""
    name = names[chosen % len(names)]
    there = [mv.version for mv in pair.theirs.search_model_versions(f"name = '{name}'", order_by=["version_number"])]
    number = there[chosen % len(there)] if there else 1
    stage = pair.theirs.get_model_version(name, number).current_stage if there else "None"
    to = "Staging" if stage == "Production" else "Production"
    if step == "create":
        pair.call("create_model_version", pair.source, model=name)
    elif step == "describe":
        pair.call("update_model_version", f"words {at}", model=name, version=number)
    elif step == "describe model":
        pair.call("update_registered_model", f"words {at}", model=name)
    elif step.startswith("move"):
        pair.call("transition_model_version_stage", to, step == "move and archive", model=name, version=number)
    elif step == "copy":
        pair.copy(name, number, names[at % len(names)])
    elif step == "delete":
        pair.call("delete_model_version", model=name, version=number)
    elif step == "rename":
        names[names.index(name)] = f"{name}-{at}"
        pair.call("rename_registered_model", f"{name}-{at}", model=name)
    elif step == "tag":
        pair.call("set_model_version_tag", ModelVersionTag("at", str(at)), model=name, version=number)
    elif step == "name":
        pair.call("set_registered_model_alias", f"at-{at}", model=name, version=number)
    else:
        names.append(f"made-{at}")
        pair.call("create_registered_model", model=names[-1])


@pytest.mark.slow
def test_any_sequence_of_calls_is_answered_as_mlflows_own_store_answers_it(pairs: Template) -> None:
    machine = type("AlikeHere", (Alike,), {"template": pairs})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,), database=None,  # what fails is short enough to be read as it is
        ),
    )  # fmt: skip
