"""What foreign objects say of themselves: their own code runs for that, and may raise anything."""

from __future__ import annotations

__all__ = ["repr_of", "text_of"]


def text_of(error: BaseException) -> str:
    """``str(error)``, or which class it is of where that raises."""
    try:
        return str(error)
    except BaseException:  # even sys.exit() in a __str__ is no more than an error that cannot be shown
        return f"<unprintable {type(error).__name__}>"


def repr_of(value: object) -> str:
    """``repr(value)``, or which class it is of where that raises."""
    try:
        return repr(value)
    except BaseException:  # as above
        return f"<unprintable {type(value).__name__}>"
