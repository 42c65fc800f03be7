"""What the documentation of policies shows is what the code has, and what it prints as an example works."""

from __future__ import annotations

import runpy
from pathlib import Path

from builder import World

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_table_of_facts_is_that_of_the_code() -> None:
    page = (DOCS / "policies.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(DOCS / "facts.py"))["renewed"](page) == page, "run: python docs/facts.py"


def test_the_example_of_a_policy_meets_its_own_tests(world: World) -> None:
    page = (DOCS / "policies.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    (world.root / "policies" / "production-quality.yaml").write_text(example, encoding="utf-8")
    done = world.cli("policy", "test", "production-quality")
    assert "production-quality: 2 of 2 tests pass" in done.stdout
    assert "floors" not in done.stdout
