"""Steps, plans and runs."""
