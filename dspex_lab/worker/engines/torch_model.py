"""One model and its tokenizer in memory, through transformers and torch: the only file that knows those packages.

It computes; which answers there are and what comes next is the business of ``torch_server``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspex_lab.errors import ModelError
from dspex_lab.worker.engines.cores import decoder_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Rows", "TorchModel", "choose_device"]

log = logging.getLogger(__name__)

#: Tokens of prompt that are worked on before a cancelled answer is noticed.
_PREFILL_TOKENS = {"cpu": 128, "cuda": 2048}


@dataclass(slots=True)
class Rows:
    """The keys and values of answers side by side; row ``i`` holds ``lengths[i]`` tokens, at the right end."""

    cache: Any
    lengths: list[int]


def choose_device() -> str:
    """ "cuda" where torch finds a device that this process may use, else "cpu"; a GPU that cannot be used is logged."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        log.warning("This worker was given a GPU, and torch %s cannot use it.", torch.__version__)
    return "cpu"


class TorchModel:
    """A causal language model from a folder or a GGUF file, on the device that there is. Use it on one thread."""

    def __init__(self, path: Path) -> None:
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.device = choose_device()
        if self.device == "cpu":
            torch.set_num_threads(decoder_threads())
        folder, file = (path, {}) if path.is_dir() else (path.parent, {"gguf_file": path.name})
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, **file)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                local_files_only=True,
                dtype=torch.float32 if self.device == "cpu" else torch.bfloat16,
                **file,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError(
                f"The model {path.name} cannot be loaded: {str(error).splitlines()[0]}.",
                f"local/{path.stem}",
                hint="Is it a whole model (a GGUF file, or a folder with config.json, weights and tokenizer)?",
            ) from error
        self._model.to(self.device).eval()
        config = self._model.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.context_tokens: int = getattr(config, "max_position_embeddings", None) or 2048
        self.ends = _ends(self._model.generation_config.eos_token_id, self._tokenizer.eos_token_id)
        log.info("%s runs on %s in %s.", path.name, self.device, self._model.dtype)

    @property
    def tokenizer(self) -> Any:
        return self._tokenizer

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The tokens that ask for an answer to ``messages``, by the model's own chat template if it has one."""
        texts = [{"role": message["role"], "content": _text(message.get("content"))} for message in messages]
        if self._tokenizer.chat_template:
            made = self._tokenizer.apply_chat_template(texts, add_generation_prompt=True, return_dict=True)
            return list(made["input_ids"])
        lines = [f"{one['role']}: {one['content']}" for one in texts]
        return list(self._tokenizer("\n\n".join([*lines, "assistant:"]))["input_ids"])

    def text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def begin(self, prompt: Sequence[int]) -> Iterator[tuple[Rows, NDArray[np.float32]] | None]:
        """Work on a prompt, piece by piece: None after each, then its row and the logits that follow it."""
        import torch
        from transformers import DynamicCache

        cache, size = DynamicCache(), _PREFILL_TOKENS[self.device]
        logits: Any = None
        for start in range(0, len(prompt), size):
            piece = torch.tensor([prompt[start : start + size]], device=self.device)
            with torch.inference_mode():
                output = self._model(input_ids=piece, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = output.logits[:, -1]
            yield None
        yield Rows(cache, [len(prompt)]), _numbers(logits)[0]

    def step(self, rows: Rows, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Add one token to each row; the logits that follow, one line for each."""
        import torch

        longest = max(rows.lengths)
        mask = [[0] * (longest - length) + [1] * (length + 1) for length in rows.lengths]
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.tensor([[token] for token in tokens], device=self.device),
                attention_mask=torch.tensor(mask, device=self.device),
                position_ids=torch.tensor([[length] for length in rows.lengths], device=self.device),
                past_key_values=rows.cache,
                use_cache=True,
            )
        rows.lengths = [length + 1 for length in rows.lengths]
        return _numbers(output.logits[:, -1])

    def join(self, first: Rows | None, second: Rows) -> Rows:
        """The rows of both, side by side."""
        import torch

        if first is None:
            return second
        longest = max(first.lengths + second.lengths)

        def both(one: Any, other: Any) -> Any:
            return torch.cat([_padded(one, longest), _padded(other, longest)])

        pairs = zip(_layers(first.cache), _layers(second.cache), strict=True)
        layers = ((both(k, other_k), both(v, other_v)) for (k, v), (other_k, other_v) in pairs)
        return Rows(_cache(layers), first.lengths + second.lengths)

    def select(self, rows: Rows, kept: Sequence[int]) -> Rows:
        """Some of the rows, without the padding that only the others needed."""
        import torch

        index = torch.tensor(list(kept), device=self.device)
        lengths = [rows.lengths[place] for place in kept]
        longest = max(lengths)

        def some(one: Any) -> Any:
            return one.index_select(0, index)[:, :, -longest:].contiguous()

        return Rows(_cache((some(k), some(v)) for k, v in _layers(rows.cache)), lengths)


def _ends(*ids: Any) -> frozenset[int]:
    found = [one for given in ids for one in (given if isinstance(given, list | tuple) else [given])]
    return frozenset(int(one) for one in found if one is not None)


def _text(content: Any) -> str:
    """A message's text; ``ValueError`` for a part that is none."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [dict(part) for part in content]
    other = next((part.get("type") for part in parts if part.get("type") != "text"), None)
    if other is not None:
        raise ValueError(f"it reads text only, and a message holds a part of type {other!r}")
    return "".join(part["text"] for part in parts)


def _numbers(logits: Any) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = logits.float().cpu().numpy()
    return numbers


def _layers(cache: Any) -> list[tuple[Any, Any]]:
    return [(layer.keys, layer.values) for layer in cache.layers]


def _cache(layers: Iterator[tuple[Any, Any]]) -> Any:
    from transformers import DynamicCache

    made = DynamicCache()
    for index, (keys, values) in enumerate(layers):
        made.update(keys, values, index)
    return made


def _padded(one: Any, length: int) -> Any:
    """``one`` (rows, heads, tokens, numbers) with zeros in front, which the attention mask hides."""
    import torch

    missing = length - one.shape[2]
    return one if missing == 0 else torch.nn.functional.pad(one, (0, 0, missing, 0))
