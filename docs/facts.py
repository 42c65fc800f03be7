"""Write the table of facts in docs/policies.md anew from the code: python docs/facts.py."""

from __future__ import annotations

from pathlib import Path

from gitops_registry.policy.vocabulary import FACTS, shown_example

PAGE = Path(__file__).with_name("policies.md")
START, END = "<!-- facts: written by docs/facts.py -->", "<!-- end of facts -->"


def table() -> str:
    """Return the table as Markdown; the champion's facts are the candidate's."""
    lines = ["| fact | type | example | meaning |", "|---|---|---|---|"]
    for fact in FACTS:
        if fact.path.startswith("champion."):
            continue
        name = fact.path.replace(".[]", "[]")
        example = shown_example(fact)
        cells = [f"`{name}`", fact.type, f"`{example}`" if example else "", fact.meaning]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        if fact.path == "champion":
            lines.append("| `champion.…` | | | as `candidate.…` |")
    lines += [
        "| `params.…` | dyn | | the parameters of the policy |",
        "| `variables.…` | dyn | | its variables, in the order they stand |",
    ]
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Return the page with the table as the code has it."""
    head, _, rest = page.partition(START)
    return f"{head}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
