"""Signatures: grammar, field types, validation, prompts and the compile cache. Knows nothing of DSPy until asked to build one."""
