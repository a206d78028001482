"""A signature as a form to fill in: which control asks for a field, and the value that comes of it. Knows no page."""
