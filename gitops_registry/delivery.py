"""The verbs about proposals, as one method each: what the front door inherits beside those that make changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from gitops_registry.workplace import Workplace

if TYPE_CHECKING:
    from gitops_registry.deciding import Outcome
    from gitops_registry.evaluating import Remeasured
    from gitops_registry.forge.interface import Forge
    from gitops_registry.monitoring import Watched
    from gitops_registry.policy.report import Report
    from gitops_registry.proposals import Proposal
    from gitops_registry.proving import Fetched
    from gitops_registry.publishing import Published
    from gitops_registry.releasing import Released
    from gitops_registry.reviewing import Review
    from gitops_registry.weighing import Weighed


class Delivery:
    """From a proposal to a decision, here or on a forge."""

    _place: Workplace

    def proposals(self) -> Iterator[Proposal]:
        """Yield the open proposals in order of branch."""
        from gitops_registry import proposals

        return proposals.open_proposals(self._place)

    def merge(self, branch: str, *, reason: str = "", dry_run: bool = False, forge: Forge | None = None) -> Outcome:
        """Land a proposal, judged as it would be on the present tip; reviews on a `forge` are approvals too."""
        from gitops_registry import proposals

        return proposals.merge(self._place, branch, reason=reason, dry_run=dry_run, forge=forge)

    def approve(
        self, branch: str, *, reject: bool = False, comment: str = "", plan: str = "", dry_run: bool = False
    ) -> Review:
        """Sign that a proposal should land (or with `reject`, that it should not) as the plan it is now.

        Raises RegistryError where the key that signs here is nobody's who may approve it.
        """
        from gitops_registry.reviewing import approve

        word: Literal["approve", "reject"] = "reject" if reject else "approve"
        return approve(self._place, branch, verb=word, comment=comment, plan=plan, dry_run=dry_run)

    def push(self, *, dry_run: bool = False) -> Published:
        """Bring decisions and open proposals to the remote; what others decided meanwhile comes first, ours on top of it."""
        from gitops_registry.publishing import publish

        return publish(self._place, dry_run=dry_run)

    def fetch_changed(self, *, base: str, head: str) -> list[Fetched]:
        """Bring the bytes of what a change is about into the cache, and compare their digests; nothing is opened."""
        from gitops_registry.proving import fetch_changed

        return fetch_changed(self._place, base=base, head=head)

    def measure_changed(self, *, base: str, head: str) -> list[Remeasured]:
        """Measure what a change is about on the data that the base pins, from the cache alone."""
        from gitops_registry.proving import measure_changed

        return measure_changed(self._place, base=base, head=head)

    def monitor(self, *, dry_run: bool = False, forge: Forge | None = None) -> list[Watched]:
        """Measure what serves again and judge it by the policies of today; propose to demote what holds no more.

        The proposals are pull requests on a `forge`. Raises RegistryError where a policy cannot be worked out.
        """
        from gitops_registry.monitoring import monitor

        return monitor(self._place, forge=forge, dry_run=dry_run)

    def release_tags(self, *, push: bool = False, dry_run: bool = False) -> Released:
        """Tag the decision that registered each version as NAME@N where the tag is missing, and `push` the tags.

        Raises RegistryError in a shallow clone, or where the remote refuses.
        """
        from gitops_registry.releasing import release_tags

        return release_tags(self._place, to_remote=push, dry_run=dry_run)

    def merge_there(self, branch: str, forge: Forge, *, reason: str = "", dry_run: bool = False) -> Outcome:
        """Let a forge make the merge of a proposal that the check accepts, and see that it is the one we would make.

        Raises Conflict where the branch is not up to date: then the forge would make another merge.
        """
        from gitops_registry.weighing import merge_there

        return merge_there(self._place, forge, branch, reason=reason, dry_run=dry_run)

    # ── on a forge

    def forge(self, environ: Mapping[str, str]) -> Forge:
        """Return the forge that this registry's pull requests are on, with the token that an environment has for it.

        Where it is on no known one, its branches stand for pull requests. Raises RegistryError where registry.yaml names
        another server than the remote.
        """
        from gitops_registry.connecting import forge_of

        return forge_of(self._place, environ)

    @property
    def is_on_forge(self) -> bool:
        """Whether registry.yaml says that its pull requests are on a forge."""
        return self._place.snapshot(self._place.tip()).constitution.forge is not None

    def weigh(self, forge: Forge, *, base: str, head: str, number: int | None = None) -> Weighed:
        """Judge `head` as it would land on `base`, with the reviews of its pull request as approvals.

        Raises Conflict where it cannot land, RegistryError where the pull request has another head by now.
        """
        from gitops_registry.weighing import weigh

        return weigh(self._place, forge, base=base, head=head, number=number)

    def landed(self, *, base: str, head: str, forge: Forge | None = None) -> Report:
        """Judge every decision after `base` up to `head` as it was made; a `forge` attests those that its button made."""
        from gitops_registry.landed import landed

        return landed(self._place, base=base, head=head, forge=forge)
