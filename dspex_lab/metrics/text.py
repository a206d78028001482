"""Text as metrics see it: trimmed, split into tokens, or normalised as SQuAD does it (and DSPy after it).

Pure functions of strings. Knows nothing of scores.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

__all__ = [
    "ARTICLES",
    "Normalization",
    "joined_column",
    "passage_words",
    "rouge_tokens",
    "squad_text",
    "squad_tokens",
    "text_of",
    "tokens_of",
]

#: "none": as it stands, but trimmed. "squad": Unicode NFD, lower case, no punctuation, no articles, single spaces.
Normalization = Literal["none", "squad"]

#: What SQuAD's normalisation leaves out.
ARTICLES = frozenset({"a", "an", "the"})
_SPACES = bytes(ord(" ") if chr(code).isspace() and code < 128 else code for code in range(256))
_PUNCTUATION = string.punctuation.encode()
_CONTROL = bytes([*range(1, 32), 127])
#: ``\b(?:a|an|the)\b``, written so that the search jumps from one ``a`` or ``t`` to the next.
_ARTICLE = re.compile(r"(?:a(?<=\ba)n?|t(?<=\bt)he)\b")
#: White space beyond ASCII: what ``str.split`` splits at, besides what :data:`_SPACES` knows.
_WIDE_SPACE = re.compile(r"[^\S\x00-\x7f]")
_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")


def squad_tokens(text: str) -> list[str]:
    """The tokens of ``text`` after SQuAD's normalisation: exactly ``dspy.evaluate.normalize_text(text).split()``."""
    line = _without_marks(text)
    tokens = line.split()
    # Where all is letters and digits, a word border is a space, and articles are whole tokens. Elsewhere (dashes,
    # accents after NFD, control characters) only the expression itself finds what SQuAD's finds.
    if "".join(tokens).isalnum():
        return tokens if ARTICLES.isdisjoint(tokens) else [token for token in tokens if token not in ARTICLES]
    return _ARTICLE.sub(" ", line).split()


def joined_column(texts: Sequence[str], normalization: Normalization) -> bytes | None:
    """Many texts as one run of UTF-8, a zero byte between two of them; None when a text holds a zero itself.

    Split at spaces, and for SQuAD without the tokens in :data:`ARTICLES`, each part is :func:`tokens_of` its text.
    Raises ``ValueError`` as :func:`text_of` does. As one long text all of this is several times as fast; it is
    fastest for ASCII, so texts with anything else had better be in a column of their own.
    """
    column = "\0".join(texts)
    if column.count("\0") != max(0, len(texts) - 1):
        return None
    if normalization == "squad":
        column = _without_marks(column)
        if not _is_plain(column):
            column = _ARTICLE.sub(" ", column)  # a zero is no part of a word, so each text's ends are borders
    else:
        _check(normalization)
    if not column.isascii():
        column = _WIDE_SPACE.sub(" ", column)
    data = column.encode("utf-8", "surrogatepass")
    return data if normalization == "squad" else data.translate(_SPACES)


def squad_text(text: str) -> str:
    """``text`` after SQuAD's normalisation: exactly ``dspy.evaluate.normalize_text(text)``."""
    return " ".join(squad_tokens(text))


def text_of(text: str, normalization: Normalization) -> str:
    """``text``, trimmed or normalised. Raises ``ValueError`` for a normalisation that is not known."""
    if normalization == "squad":
        return squad_text(text)
    _check(normalization)
    return text.strip()


def tokens_of(text: str, normalization: Normalization) -> list[str]:
    """The tokens of ``text``: what stands between spaces. Raises ``ValueError`` as :func:`text_of` does."""
    if normalization == "squad":
        return squad_tokens(text)
    _check(normalization)
    return text.split()


def rouge_tokens(text: str) -> list[str]:
    """Tokens as ROUGE's reference implementation makes them: lower case, ASCII letters and digits, no stemming."""
    return _ROUGE_TOKEN.findall(text.lower())


def passage_words(text: str) -> list[str]:
    """Words and single marks, in lower case, as DPR (and DSPy's passage match) splits a passage."""
    import regex

    pattern = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]", flags=regex.IGNORECASE | regex.MULTILINE)
    words: list[Any] = pattern.findall(unicodedata.normalize("NFD", squad_text(text)))
    return [str(word).lower() for word in words]


def _without_marks(text: str) -> str:
    """Unicode NFD, lower case, without ASCII punctuation, every ASCII white space as a space; the latter by bytes,
    for their table is far quicker."""
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
    lowered = text.lower().encode("utf-8", "surrogatepass")
    return lowered.translate(_SPACES, _PUNCTUATION).decode("utf-8", "surrogatepass")


def _is_plain(column: str) -> bool:
    """Whether every word border in ``column``, which has no punctuation, is surely a space or a zero."""
    return column.isascii() and len(column.encode().translate(None, _CONTROL)) == len(column)


def _check(normalization: str) -> None:
    if normalization != "none":
        raise ValueError(f"There is no normalization {normalization!r}; there are 'none' and 'squad'.")
