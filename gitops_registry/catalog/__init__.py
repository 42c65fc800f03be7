"""The cache of search: what one commit holds, in an SQLite file that may be deleted at any moment."""
