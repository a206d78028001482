"""DSPex Lab: DSPy programs in Jupyter, on a background pool of kernels.

A lazy list of names: importing this loads neither DSPy nor widgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"
