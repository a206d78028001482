"""A JSON schema as a mask over the vocabulary, through llguidance: the only file that knows that package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GrammarMaker", "JsonGrammar", "with_own_spelling"]

#: One blank where people write one and none elsewhere: a small model that may write white space writes nothing else.
_FORM = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

_BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


class GrammarMaker:
    """Makes grammars for one tokenizer (a fast one of ``tokenizers``) and a model of ``vocabulary`` tokens."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        from llguidance import LLTokenizer

        self._vocabulary = vocabulary
        state = with_own_spelling(json.loads(tokenizer.backend_tokenizer.to_str()))
        self._tokenizer = LLTokenizer(json.dumps(state), n_vocab=vocabulary, eos_token=tokenizer.eos_token_id)

    def make(self, schema: Mapping[str, Any]) -> JsonGrammar:
        """The grammar of ``schema``; ``ValueError`` for a schema that it cannot follow."""
        from llguidance import LLMatcher

        text = LLMatcher.grammar_from_json_schema(dict(schema), overrides={**_FORM, "lenient": True})
        return JsonGrammar(LLMatcher(self._tokenizer, text, log_level=0), self._vocabulary)


def with_own_spelling(state: Mapping[str, Any]) -> dict[str, Any]:
    """``state`` (a tokenizer of ``tokenizers`` as JSON) for llguidance, which asks the decoder how tokens are spelt.

    One that splits texts by bytes spells them so, whatever other decoders stand before (transformers 5.17 gives such to
    GGUF files). Without padding and truncation, which are no grammar's business."""
    splitter = state.get("pre_tokenizer") or {}
    parts = splitter.get("pretokenizers", [splitter])
    own = {**state, "padding": None, "truncation": None}
    return own | {"decoder": _BYTES} if any(one.get("type") == "ByteLevel" for one in parts) else own


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
