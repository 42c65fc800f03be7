"""Git: the only package that runs it.

`process` runs commands and reads objects, `repository` and `sources` read revisions, `landing` writes one commit and
moves one branch, `journal` lets the next command finish, `worktree` brings files along, `remote` speaks to others.
"""
