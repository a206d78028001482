"""A JSON schema as a mask over the vocabulary, through llguidance: the only file that knows that package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GrammarMaker", "JsonGrammar"]

#: One blank where people write one and none elsewhere: a small model that may write white space writes nothing else.
_FORM = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class GrammarMaker:
    """Makes grammars for one tokenizer (a fast one of ``tokenizers``) and a model of ``vocabulary`` tokens."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        import llguidance.hf

        self._vocabulary = vocabulary
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary)

    def make(self, schema: Mapping[str, Any]) -> JsonGrammar:
        """The grammar of ``schema``; ``ValueError`` for a schema that it cannot follow."""
        from llguidance import LLMatcher

        text = LLMatcher.grammar_from_json_schema(dict(schema), overrides={**_FORM, "lenient": True})
        return JsonGrammar(LLMatcher(self._tokenizer, text, log_level=0), self._vocabulary)


class JsonGrammar:
    """Follows one answer. :meth:`allowed` before each token, :meth:`take` after it."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._check()

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def allowed(self) -> NDArray[np.bool_]:
        """For each token whether it may come next."""
        import numpy as np

        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return np.unpackbits(packed, bitorder="little")[: self._vocabulary].astype(np.bool_)

    def take(self, token: int) -> None:
        """The token that was chosen."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ValueError(f"the schema cannot be followed: {self._matcher.get_error()}")
