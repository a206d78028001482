"""One model in this process's memory, through xllamacpp: the only file that knows that package.

xllamacpp opens an HTTP listener beside the calls that we use. It is bound to a Unix socket in a private folder, asks
for a key that nobody is told, and its path is removed at once: nothing can connect to it.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dspex_lab.errors import ModelError
from dspex_lab.worker.engines.cores import decoder_threads, prompt_threads

__all__ = ["LlamaServer"]

#: Tokens of prompt that are worked on before a cancelled generation is noticed. Larger is not faster on a CPU.
_BATCH_TOKENS = 64
#: What is kept of prompts whose slot went to another one; some ten thousand tokens of a small model.
_KEPT_PROMPTS_MIB = 256
#: A prompt goes on in the slot that has read this share of it, or else with what was kept. With a small share a short
#: prompt would wipe out a long one for the few words that all prompts begin with.
_SAME_PROMPT = 0.5


class LlamaServer:
    """A loaded model with ``slots`` that generate at the same time and share a context of ``context_tokens``.

    Loading and :meth:`generate` block, with the GIL free; call them on threads. The key-value memory is shared: a
    single long prompt may use what the other slots do not.
    """

    def __init__(self, path: Path, *, slots: int, context_tokens: int) -> None:
        threads = decoder_threads(), prompt_threads()
        import xllamacpp

        folder = tempfile.mkdtemp(prefix="dxl-")
        try:
            parameters = _parameters(xllamacpp.CommonParams(), path, Path(folder))
            parameters.cpuparams.n_threads, parameters.cpuparams_batch.n_threads = threads
            # To find out what fits a device's memory, it loads the model twice; without a device nothing has to fit.
            parameters.fit_params = any("GPU" in device["type"].name for device in xllamacpp.get_device_info())
            parameters.n_parallel = slots
            parameters.n_ctx = context_tokens
            self._server: Any = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise ModelError(
                f"The model file {path.name} cannot be loaded.",
                f"local/{path.stem}",
                hint="Is it a whole GGUF file, and is there memory for it?",
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def generate(self, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Answer ``body`` (OpenAI's chat form), giving each chunk to ``take`` on this thread, until it returns True."""
        self._server.handle_chat_completions({**body, "stream": True}, take)

    def close(self) -> None:
        """Free the model's memory. No generation may be under way."""
        self._server = None


def _parameters(parameters: Any, path: Path, folder: Path) -> Any:
    parameters.model.path = str(path)
    parameters.verbosity = -1
    parameters.kv_unified = True
    parameters.n_batch = parameters.n_ubatch = _BATCH_TOKENS
    parameters.cache_ram_mib = _KEPT_PROMPTS_MIB
    parameters.slot_prompt_similarity = _SAME_PROMPT
    parameters.hostnames = [str(folder / "closed.sock")]
    parameters.api_keys = [secrets.token_hex(32)]
    parameters.n_threads_http = 1
    parameters.ui = False
    return parameters
