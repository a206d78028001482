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
    "passage_words",
    "rouge_tokens",
    "squad_column",
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
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
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


def squad_column(texts: Sequence[str], border: str) -> str:
    """Many texts as one, ``border`` (a control character that none of them holds) as a token between them: split
    into tokens, and without the tokens in :data:`ARTICLES`, each part is :func:`squad_tokens` of its text.

    All are treated as one long text, which is several times as fast as one by one.
    """
    column = _without_marks(border.join(texts))
    if not _is_plain(column.replace(border, " ")):
        column = border.join([line if _is_plain(line) else _ARTICLE.sub(" ", line) for line in column.split(border)])
    return column.replace(border, f" {border} ")


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


def _is_plain(line: str) -> bool:
    """Whether every word border in ``line``, which has no punctuation, is a space."""
    return (line.isascii() and line.isprintable()) or "".join(line.split()).isalnum()


def _check(normalization: str) -> None:
    if normalization != "none":
        raise ValueError(f"There is no normalization {normalization!r}; there are 'none' and 'squad'.")
