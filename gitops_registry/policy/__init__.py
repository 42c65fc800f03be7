"""Judging a change: `report` holds the values, `invariants` what must be true of any registry, `decisions` what must
be true of a change, `check` runs them. All of it is pure: the same facts give the same verdict everywhere.
"""
