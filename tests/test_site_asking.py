"""What the policies say of what serves: asked again where something changed, remembered as long as it holds, never believed blindly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builder import World
from sites import WAIVER

from gitops_registry.cel import CommonExpressions, Limits
from gitops_registry.policy.gate import ruling
from gitops_registry.policy.lasting import ends
from gitops_registry.policy.report import Facts, Judgement
from gitops_registry.policy.subjects import subjects
from gitops_registry.sealed import load, save
from gitops_registry.site.asking import MEMORY
from gitops_registry.site.building import build

RULE = """\
kind: Policy
schema_version: 1
name: timely
match: {{events: [stage_transition], to: [production]}}
validations:
- {{id: timely, expression: "{}", message: its time is over, enforcement: hard}}
tests:
- {{name: now, expect: {{timely: {}}}}}
"""


@pytest.fixture
def two(world: World) -> World:
    """A model that passes and one that fails, both serving."""
    world.model("good").version().version().in_stage("production", 1).commit()
    return world.model("poor").version(metrics={"accuracy": 0.5}).in_stage("production", 1).commit()


def memory(world: World) -> Path:
    return world.registry.place.repository.common_dir / "gitops-registry" / MEMORY


def told(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(load(memory(world)))
    return found


def forge(world: World, **changes: str) -> None:
    """Write into the memory what its own program could have written there: texts in its place, and a good seal."""
    text = load(memory(world)).decode()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    save(memory(world), text.encode())


def states(world: World, folder: Path, **options: bool) -> dict[str, str]:
    build(world.registry.place, folder, **options)  # type: ignore[arg-type]
    models = json.loads((folder / "index.json").read_text(encoding="utf-8"))["models"]
    return {one["name"]: one["policies"]["state"] for one in models}


def test_after_a_promotion_the_policies_are_asked_about_that_model_alone(two: World, tmp_path: Path) -> None:
    assert states(two, tmp_path / "site") == {"good": "passes", "poor": "fails"}
    before = told(two)
    two.registry.promote("good", 2, to="staging", direct=True)
    assert states(two, tmp_path / "site") == {"good": "passes", "poor": "fails"}
    after = told(two)
    assert after["poor"] == before["poor"]
    assert (after["good"][0], after["good"][1]) != (before["good"][0], before["good"][1])


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("policies/floors.yaml", "0.9", "0.4"),
        ("models/poor/versions/1/version.yaml", "accuracy: 0.5", "accuracy: 0.99"),
    ],
)
def test_whatever_a_verdict_follows_from_makes_it_asked_again(
    two: World, tmp_path: Path, path: str, old: str, new: str
) -> None:
    assert states(two, tmp_path / "site")["poor"] == "fails"
    two.commit({path: two.read(path).decode().replace(old, new).encode()})
    assert states(two, tmp_path / "site")["poor"] == "passes"


def test_a_memory_that_was_altered_makes_nothing_pass(two: World, tmp_path: Path) -> None:
    states(two, tmp_path / "site")
    held = memory(two).read_bytes()
    assert b'"fail"' in held
    for altered in (held.replace(b'"fail"', b'"pass"'), held[:-9], b"", b"\xff" * 99, b"0" * 64 + b"\n{}"):
        memory(two).write_bytes(altered)
        assert states(two, tmp_path / "site", is_anew=False) == {"good": "passes", "poor": "fails"}
    memory(two).unlink()
    memory(two).mkdir()
    assert states(two, tmp_path / "site") == {"good": "passes", "poor": "fails"}


@pytest.mark.parametrize("held", ["[]", "7", '{"poor": 1}', '{"poor": ["KEY", "x", "y", "", []]}', '{"poor": ["KEY", 1, 2, "", 3]}'])  # fmt: skip
def test_a_memory_of_another_shape_under_a_good_seal_is_as_good_as_none(two: World, tmp_path: Path, held: str) -> None:
    states(two, tmp_path / "site")
    save(memory(two), held.replace("KEY", told(two)["poor"][0]).encode())
    assert states(two, tmp_path / "site") == {"good": "passes", "poor": "fails"}


def test_what_is_remembered_of_another_time_is_asked_again(two: World, tmp_path: Path) -> None:
    states(two, tmp_path / "site")
    _, since, until, *_ = told(two)["poor"]
    past, future = "2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"
    forge(two, **{f'"{until}"': f'"{past}"', '"fail"': '"pass"'})
    assert states(two, tmp_path / "site")["poor"] == "fails"
    _, since, *_ = told(two)["poor"]
    forge(two, **{f'"{since}"': f'"{future}"', '"fail"': '"pass"'})
    assert states(two, tmp_path / "site")["poor"] == "fails"


def test_a_build_of_all_anew_asks_the_policies_anew(two: World, tmp_path: Path) -> None:
    states(two, tmp_path / "site")
    forge(two, **{'"fail"': '"pass"'})
    assert states(two, tmp_path / "site", is_anew=True)["poor"] == "fails"
    assert '"fail"' in load(memory(two)).decode()


def test_a_waiver_ends_what_is_remembered_when_it_begins_and_when_it_ends(two: World, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    oid = two.git("rev-parse", "HEAD:models/poor/versions/1/version.yaml").strip()
    start, end = now + timedelta(hours=2), now + timedelta(days=3)
    waiver = WAIVER.format(oid=oid, start=start.isoformat(), end=end.isoformat()).replace("credit-risk", "poor")
    two.commit({"policies/waivers/once.yaml": waiver.encode()})
    assert states(two, tmp_path / "site")["poor"] == "fails"
    assert datetime.fromisoformat(told(two)["poor"][2]) == start
    begun = waiver.replace(start.isoformat(), (now - timedelta(days=1)).isoformat())
    two.commit({"policies/waivers/once.yaml": begun.encode()})
    assert states(two, tmp_path / "site")["poor"] == "waived"
    assert datetime.fromisoformat(told(two)["poor"][2]) == end
    assert datetime.fromisoformat(told(two)["good"][2]) > end


def test_a_policy_that_cannot_be_read_or_worked_out_lets_no_model_pass(two: World, tmp_path: Path) -> None:
    two.commit({"policies/broken.yaml": b"kind: Policy\nschema_version: 1\nname: broken\nmatch: 7\n"})
    for _ in range(2):
        assert states(two, tmp_path / "site") == {"good": "unknown", "poor": "fails"}
    wrong = RULE.format("candidate.task > 7 && size(7)", "error").replace("timely", "broken").encode()
    two.commit({"policies/broken.yaml": wrong})
    for _ in range(2):
        assert states(two, tmp_path / "site") == {"good": "unknown", "poor": "fails"}


# ── rules that read the time


def end_of(world: World, expression: str, now: datetime) -> timedelta:
    """Return how long it holds what a rule says of what serves, from a moment on."""
    world.commit({"policies/timely.yaml": RULE.format(expression, "pass").encode()})
    snapshot = world.registry.place.snapshot()
    judgement = Judgement(
        None, snapshot, (), (), Facts(now=now), snapshot.constitution, snapshot.access, models=("good",)
    )
    (end,) = ends(judgement, world.registry.place.engine, subjects(judgement))
    return min(end - now, timedelta(days=999))


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("candidate.task != ''", 999),
        ("now < timestamp('2027-01-01T00:00:00Z')", 0),
        ("now < timestamp('2027-01-05T00:00:00Z')", 1),
        ("size(candidate.name) > 0 && now - candidate.created < duration('9000h') && now < timestamp('2027-04-01T00:00:00Z')", 30),
        ("now < timestamp('2027-04-01T00:00:00Z') || now > timestamp('2026-01-01T00:00:00Z')", 0),
        ("now.getHours() < 24", 0),
        ("!(now < timestamp('2026-01-01T00:00:00Z'))", 0),
    ],
)  # fmt: skip
def test_what_a_rule_says_that_reads_the_time_is_remembered_as_long_as_time_does_not_change_it(
    two: World, expression: str, days: int
) -> None:
    assert end_of(two, expression, datetime(2026, 12, 31, 12, tzinfo=UTC)) == timedelta(days=days)


def test_a_rule_whose_time_is_over_fails_though_it_passed_a_moment_ago(two: World, tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(hours=5)
    two.commit({"policies/timely.yaml": RULE.format(f"now < timestamp('{soon.isoformat()}')", "pass").encode()})
    assert states(two, tmp_path / "site")["good"] == "passes"
    assert set(told(two)) == set()


def test_what_a_limit_cut_short_is_told_apart_from_what_would_be_said_again(two: World) -> None:
    snapshot = two.registry.place.snapshot()
    judgement = Judgement(
        None, snapshot, (), (), Facts(now=datetime.now(UTC)), snapshot.constitution, snapshot.access, models=("good",)
    )
    asked = subjects(judgement)
    assert ruling(judgement, two.registry.place.engine, asked).is_whole
    assert not ruling(judgement, CommonExpressions(Limits(answers=10)), asked).is_whole
