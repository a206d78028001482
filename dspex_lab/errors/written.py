"""What somebody wrote and must mend: a signature, a template, a setting, data that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.errors.root import LabError

__all__ = ["ConfigurationError", "SignatureError", "TemplateError", "ValidationError"]

#: How many faults of a ValidationError are shown; ``errors`` has them all.
_MAX_FAULTS = 10


class SignatureError(LabError):
    """A signature that cannot be read. ``line`` and ``column`` count from 1 in the user's own text."""

    _fields = ("signature", "field", "line", "column")

    def __init__(
        self,
        message: str,
        signature: str = "",
        field: str | None = None,
        *,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.signature = signature
        self.field = field
        self.line = line
        self.column = column

    def __str__(self) -> str:
        parts = [self.message]
        excerpt = self.excerpt()
        if excerpt:
            parts.append(excerpt)
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return "\n".join(parts)

    def excerpt(self, *, width: int = 100) -> str:
        """The user's line with a caret under the column, or "" when the place is not known."""
        lines = self.signature.splitlines()
        if self.line is None or not 0 < self.line <= len(lines):
            return ""
        text = lines[self.line - 1]
        if self.column is None:
            return f"  line {self.line}: {text[:width]}"
        start = max(0, self.column - 1 - width // 2)
        prefix = f"  line {self.line}: " + ("…" if start else "")
        shown = text[start : start + width]
        return f"{prefix}{shown}\n{' ' * (len(prefix) + self.column - 1 - start)}^"


class ValidationError(LabError):
    """Data that breaks its signature. ``errors`` holds one ``{"field", "message", "input"}`` for each fault."""

    _fields = ("errors",)

    def __init__(
        self,
        message: str,
        errors: tuple[Mapping[str, Any], ...] = (),
        *,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.errors = tuple(dict(error) for error in errors)

    def __str__(self) -> str:
        """The message tells the first fault; the others follow, one to a line."""
        others = [f"  `{fault.get('field')}`: {fault.get('message')}" for fault in self.errors[1:_MAX_FAULTS]]
        if len(self.errors) > _MAX_FAULTS:
            others.append(f"  … {len(self.errors) - _MAX_FAULTS} more")
        return "\n".join((self.message, *others, *([f"Hint: {self.hint}"] if self.hint else [])))


class TemplateError(LabError):
    """A template that does not compile or render; ``line`` counts from 1, ``line_text`` is what stands there."""

    _fields = ("line", "line_text")

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        line_text: str = "",
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.line = line
        self.line_text = line_text

    def __str__(self) -> str:
        shown = f": {self.line_text}" if self.line_text else ""
        place = "" if self.line is None else f"  line {self.line}{shown}"
        hint = f"Hint: {self.hint}" if self.hint else ""
        return "\n".join(part for part in (self.message, place, hint) if part)


class ConfigurationError(LabError):
    """A setting that cannot be used: which key, what was expected, what was there."""

    _fields = ("config_key", "expected", "actual")

    def __init__(
        self,
        message: str,
        config_key: str = "",
        expected: str = "",
        actual: str = "",
        *,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.config_key = config_key
        self.expected = expected
        self.actual = actual
