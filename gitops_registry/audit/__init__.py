"""Git history as the audit log: what each decision changed, who decided and who agreed, and how well each of that is proved.

`decision` says what one decision is, `proof` what stands behind it, `entries` the events it is told as, `walking` reads them from git in bulk, `approved` finds
who agreed, `ledger` keeps what was read, `recorded` reads what a server wrote down. Nothing here believes a message.
"""

from gitops_registry.audit.decision import Event, reason_of
from gitops_registry.audit.entries import Entry
from gitops_registry.audit.ledger import events, life
from gitops_registry.audit.proof import Attested

__all__ = ["Attested", "Entry", "Event", "events", "life", "reason_of"]
