"""What a model is told and what it answers: DSPy's messages, written and read without DSPy."""
