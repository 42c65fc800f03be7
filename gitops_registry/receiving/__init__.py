"""A push as a server judges it: what it brings, what of it is a decision, and every reason to refuse it."""
