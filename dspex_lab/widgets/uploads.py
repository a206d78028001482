"""Files on their way from the page: put together from pieces, in whatever order these come.

Pure; a message to the kernel has a limit (10 MB as Jupyter is), so that a file comes in many.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.signatures import Uploaded

__all__ = ["MAX_UPLOAD_BYTES", "Uploads"]

#: More than this is refused: a path is a better way to a kernel for such a file.
MAX_UPLOAD_BYTES = 256 * 2**20
#: So many files are kept, and so many wait for their rest; the oldest go.
_MOST_FILES = 32


@dataclass(slots=True)
class _Coming:
    name: str
    media_type: str
    size: int
    pieces: dict[int, bytes] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        return sum(map(len, self.pieces.values())) >= self.size


class Uploads:
    """The files that came, by the id that the page gave to each. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: dict[str, _Coming] = {}
        self._files: dict[str, Uploaded] = {}

    def take(self, content: Mapping[str, Any], data: bytes) -> Uploaded | None:
        """Take a piece; the whole file when it was the last. Raises ``ValueError`` for one that is too large, or no
        piece of its file."""
        upload, size, at = str(content["upload"]), int(content["size"]), int(content["at"])
        if not 0 <= at <= at + len(data) <= size:
            raise ValueError("This is no piece of the file")
        if size > MAX_UPLOAD_BYTES:
            raise ValueError(f"Files may have {MAX_UPLOAD_BYTES // 2**20} MB; give a larger one in Python")
        with self._lock:
            if upload in self._files:
                return None
            coming = self._coming.setdefault(
                upload, _Coming(str(content.get("name") or "file"), str(content.get("type") or ""), size)
            )
            if coming.size != size:
                raise ValueError("This is no piece of the file")
            coming.pieces[at] = data
            _drop_oldest(self._coming)
            if not coming.is_whole:
                return None
            del self._coming[upload]
            whole = b"".join(coming.pieces[place] for place in sorted(coming.pieces))
            found = self._files[upload] = Uploaded(coming.name, coming.media_type, whole)
            _drop_oldest(self._files)
            return found

    def resolved(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` with files in the place of their ids (``{"upload": id}``); one that is not known is None."""
        return {name: self._resolved(value) for name, value in values.items()}

    def _resolved(self, value: Any) -> Any:
        is_id = isinstance(value, Mapping) and value.keys() == {"upload"}
        return self._files.get(str(value["upload"])) if is_id else value

    def __repr__(self) -> str:
        return f"<Uploads [files: {len(self._files)}, coming: {len(self._coming)}]>"


def _drop_oldest(kept: dict[str, Any]) -> None:
    """A page that was reloaded never sends the rest of its files."""
    while len(kept) > _MOST_FILES:
        del kept[next(iter(kept))]
