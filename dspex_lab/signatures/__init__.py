"""Signatures: grammar, types, validation, prompts and the compile cache. Builds DSPy signatures only when asked to."""
