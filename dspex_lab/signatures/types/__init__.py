"""Types as signatures name them: the white list, DSPy's own, the user's, and the constraints of a field."""
