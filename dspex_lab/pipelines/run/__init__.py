"""A run of a plan: how it goes, what it asks and tells, and how its user holds it."""
