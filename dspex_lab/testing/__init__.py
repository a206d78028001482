"""Fakes that are shipped; each passes the contract tests of the real thing."""
