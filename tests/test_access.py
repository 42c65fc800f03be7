"""What each change needs, and who holds it."""

from __future__ import annotations

import pytest
from builder import World

from gitops_registry.access import holds, needed, permission_for
from gitops_registry.changes import Change
from gitops_registry.manifest.kinds import Access, Member
from gitops_registry.snapshot import PathChange

ACCESS = Access(
    members=(
        Member(name="ann", role="admin"),
        Member(name="eve", role="ml_engineer", models=("fraud*",)),
        Member(name="dan", role="data_scientist"),
    )
)


@pytest.mark.parametrize(
    ("change", "permission"),
    [
        (Change("model_registered", "new"), "write"),
        (Change("version_registered", "fraud", 9), "write"),
        (Change("evaluation_added", "fraud", 2), "write"),
        (Change("card_updated", "fraud", 3), "write"),
        (Change("card_updated", "fraud", 2), "deploy"),
        (Change("model_updated", "fraud", 0, "description"), "deploy"),
        (Change("model_updated", "churn", 0, "description"), "write"),
        (Change("model_updated", "churn", 0, "tags.domain"), "write"),
        (Change("model_updated", "churn", 1, "deleted", None, 1), "delete"),
        (Change("model_updated", "churn", 0, "name"), "delete"),
        (Change("stage_transition", "churn", 1, "1", "development", "staging"), "deploy"),
        (Change("alias_set", "fraud", 3, "best", 4, 3), "write"),
        (Change("alias_set", "fraud", 3, "best", 2, 3), "deploy"),
        (Change("alias_removed", "fraud", 2, "live", 2, None), "deploy"),
        (Change("alias_set", "churn", 1, "Champion", None, 1), "deploy"),
        (Change("version_deleted", "fraud", 4), "delete"),
        (Change("model_deleted", "churn"), "delete"),
        (Change("model_renamed", "churn"), "delete"),
        (Change("policy_changed", subject="policies/x.yaml"), "administer"),
        (Change("permission_changed", subject="policies/access.yaml"), "administer"),
        (Change("registry_changed", subject="registry.yaml"), "administer"),
        (Change("immutable_violated", "fraud", 3), "administer"),
        (Change("unknown_file_changed", subject="x"), "administer"),
    ],
)
def test_each_change_needs_its_permission(court: World, change: Change, permission: str) -> None:
    before = court.registry.place.snapshot("main")
    assert permission_for(change, before, before.constitution, ACCESS) == permission


def test_a_plan_needs_each_permission_once_for_each_model_and_the_registry(court: World) -> None:
    before = court.registry.place.snapshot("main")
    model = PathChange("models/fraud/model.yaml", "100644", "100644", "a", "b")
    stranger = PathChange("models/fraud/x.bin", "", "100644", "", "b")
    changes = [
        Change("stage_transition", "fraud", 3, "3", paths=(model,)),
        Change("stage_transition", "fraud", 2, "2", paths=(model,)),
        Change("version_registered", "churn", 2, paths=(model,)),
        Change("unknown_file_changed", "fraud", 0, "models/fraud/x.bin", paths=(stranger,)),
    ]
    assert needed(changes, before, before.constitution, ACCESS) == [
        ("administer", ""), ("write", "churn"), ("deploy", "fraud"),
    ]  # fmt: skip


def test_roles_give_what_they_list_and_nothing_else() -> None:
    assert holds(ACCESS, "ann", "administer")
    assert holds(ACCESS, "ann", "delete", "fraud")
    assert not holds(ACCESS, "dan", "deploy", "fraud")
    assert not holds(ACCESS, "ann", "attest", "fraud")
    assert not holds(ACCESS, "nobody", "read", "fraud")
    assert not holds(ACCESS, "Ann", "read", "fraud")


def test_a_member_of_some_models_holds_nothing_for_others_or_the_registry() -> None:
    assert holds(ACCESS, "eve", "deploy", "fraud-eu")
    assert not holds(ACCESS, "eve", "deploy", "churn")
    assert not holds(ACCESS, "eve", "deploy", "Fraud")
    assert not holds(ACCESS, "eve", "write")
