"""How tokens are spelt, as the grammar is told; what it does with them needs the extra (``tests/contracts``)."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.worker.engines.json_grammar import with_own_spelling

BYTES = {"type": "ByteLevel", "add_prefix_space": False}
OTHERS = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, BYTES]}


@pytest.mark.parametrize("splitter", [BYTES, {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, BYTES]}])
def test_a_tokenizer_that_splits_by_bytes_spells_by_bytes(splitter: dict[str, Any]) -> None:
    """Whatever stands before that in its decoder."""
    assert with_own_spelling({"pre_tokenizer": splitter, "decoder": OTHERS})["decoder"]["type"] == "ByteLevel"


@pytest.mark.parametrize("splitter", [None, {"type": "Metaspace"}])
def test_any_other_keeps_its_decoder(splitter: dict[str, Any] | None) -> None:
    """Such as those of SentencePiece, which have none to split with."""
    assert with_own_spelling({"pre_tokenizer": splitter, "decoder": OTHERS})["decoder"] == OTHERS


def test_padding_is_no_grammars_business() -> None:
    """A tokenizer that pads or cuts would spell every text alike."""
    given = {"padding": {"length": 8}, "truncation": {"max_length": 8}, "model": {"type": "BPE"}}
    assert with_own_spelling(given) == {"padding": None, "truncation": None, "model": {"type": "BPE"}}
