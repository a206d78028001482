"""DSPex Lab: DSPy programs in Jupyter, on a background pool of kernels."""

__version__ = "0.1.0"
