"""plotly's own script, as its Python package brings it along: no page has to ask the network for it.

Handed to a page in parts, compressed, and only when it wants to draw. Knows nothing of what is drawn.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path

from dspex_lab.errors import ConfigurationError
from dspex_lab.widgets.subject import Reply

__all__ = ["compressed_script", "find_script", "script_part"]

#: Jupyter Server drops what a kernel sends too fast: a part is well below what it takes in a second.
_PART_BYTES = 384 * 1024


def find_script() -> Path | None:
    """Where the script is, or None when plotly is not installed. plotly itself is not imported."""
    found = importlib.util.find_spec("plotly")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "package_data" / "plotly.min.js"
    return path if path.is_file() else None


def script_part(part: int) -> Reply:
    """One part of the script, compressed by gzip, and how many there are. Raises ``ConfigurationError`` when plotly is
    not installed."""
    data = compressed_script()
    start = int(part) * _PART_BYTES
    return Reply({"parts": -(-len(data) // _PART_BYTES)}, (data[start : start + _PART_BYTES],))


def compressed_script() -> bytes:
    """All of the script, compressed by gzip. Raises ``ConfigurationError`` when plotly is not installed."""
    path = find_script()
    if path is None:
        raise ConfigurationError(
            "Charts with axes need plotly, which is not installed.",
            "plot",
            hint="pip install 'dspex-lab[plot]', then show the panel again.",
        )
    return _compressed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _compressed(path: Path, _changed_at: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6)
