"""The builder makes what `register` and `promote` would have made: the whole check passes on it."""

from builder import World

from gitops_registry.policy.report import DECISION


def test_what_the_builder_makes_passes_the_whole_check(world: World) -> None:
    world.model("fraud", owners=("risk",)).version().version().in_stage("production", 2).in_stage("staging", 1).commit()
    report = world.registry.check()
    assert report.refusals(DECISION - {"history", "approvals"}) == ()
    assert str(world.registry.resolve("fraud@production")) == "fraud@2"
    assert world.git("status", "--porcelain") == ""
