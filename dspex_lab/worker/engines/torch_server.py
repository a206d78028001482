"""Many answers of one model side by side: a thread decodes them in one batch, which they join and leave at any token.

Knows the model by :class:`~dspex_lab.worker.engines.torch_model.TorchModel` only; offers what ``LlamaServer`` offers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspex_lab.errors import ModelError
from dspex_lab.worker.engines.json_grammar import GrammarMaker, JsonGrammar
from dspex_lab.worker.engines.sampling import Sampler, SamplingOptions
from dspex_lab.worker.engines.token_text import TokenText
from dspex_lab.worker.engines.torch_model import Rows, TorchModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TorchServer"]

#: Tokens that may wait for a slow reader; then its answer leaves the batch until they are read.
_WAITING_TOKENS = 32
_LOOK_S = 0.05


class _Answer:
    """One answer in the making. The batch's thread writes, the caller's reads."""

    def __init__(self, prompt: list[int], sampler: Sampler, grammar: JsonGrammar | None, max_tokens: int) -> None:
        self.prompt = prompt
        self.tokens: queue.SimpleQueue[int | str | BaseException] = queue.SimpleQueue()
        self.is_stopped = False
        #: The token that was chosen last: the next step's input.
        self.last = -1
        #: Its keys and values while it waits for its reader.
        self.parked: Rows | None = None
        self._sampler = sampler
        self._grammar = grammar
        self._left = max_tokens

    def is_behind(self) -> bool:
        """Whether its reader is slow."""
        return self.tokens.qsize() >= _WAITING_TOKENS

    def choose(self, logits: NDArray[np.float32], ends: frozenset[int]) -> bool:
        """Take the next token; whether the answer goes on. The queue's last item says how it ended."""
        self.last = self._sampler.choose(logits, None if self._grammar is None else self._grammar.allowed())
        if self.last in ends:
            self.tokens.put("stop")
            return False
        self.tokens.put(self.last)
        self._left -= 1
        if self._grammar is not None:
            self._grammar.take(self.last)
            if self._grammar.is_complete:
                self.tokens.put("stop")
                return False
        if self._left <= 0:
            self.tokens.put("length")
            return False
        return True


class TorchServer:
    """A loaded model; at most ``slots`` answers are decoded at once. Loading and :meth:`generate` block."""

    def __init__(self, path: Path, *, slots: int) -> None:
        self._name = path.stem
        self._model = TorchModel(path)
        self._slots = slots
        self._grammars: GrammarMaker | None = None
        self._lock = threading.Lock()
        self._waiting: deque[_Answer] = deque()
        self._wake = threading.Event()
        self._is_closed = False
        self._answers: list[_Answer] = []
        self._rows: Rows | None = None
        self._parked: list[_Answer] = []
        self._thread = threading.Thread(target=self._run, name="dspex-torch", daemon=True)
        self._thread.start()

    @property
    def device(self) -> str:
        """What it computes on: "cuda" or "cpu"."""
        return self._model.device

    # --- the caller's side ------------------------------------------------------------------------------------

    def generate(self, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Answer ``body`` (OpenAI's chat form), giving each chunk to ``take`` on this thread, until it returns True."""
        prompt = self._model.prompt(body["messages"])
        room = self._model.context_tokens - len(prompt)
        if room < 1:
            sizes = {"n_prompt_tokens": len(prompt), "n_ctx": self._model.context_tokens}
            take({"error": {"type": "exceed_context_size_error", **sizes}})
            return
        sampler = Sampler(SamplingOptions.from_body(body), prompt)
        answer = _Answer(prompt, sampler, self._grammar(body), min(body["max_tokens"], room))
        with self._lock:
            self._waiting.append(answer)
        self._wake.set()
        try:
            self._read(answer, TokenText(self._model.text, _stops(body)), take)
        finally:
            answer.is_stopped = True
            self._wake.set()

    def _grammar(self, body: Mapping[str, Any]) -> JsonGrammar | None:
        form = body.get("response_format")
        if form is None:
            return None
        with self._lock:
            if self._grammars is None:
                self._grammars = GrammarMaker(self._model.tokenizer, self._model.vocabulary)
        return self._grammars.make(form["json_schema"]["schema"])

    def _read(self, answer: _Answer, text: TokenText, take: Callable[[dict[str, Any]], bool]) -> None:
        made, began = 0, time.monotonic()
        while True:
            try:
                item = answer.tokens.get(timeout=_LOOK_S)
            except queue.Empty:
                if take({}):
                    return
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, str):
                take(_chunk(text.close(), item, len(answer.prompt), made, began))
                return
            began = time.monotonic() if made == 0 else began
            made += 1
            self._wake.set()  # a parked answer may go on
            piece = text.feed(item)
            finish = "stop" if text.is_stopped else None
            if take(_chunk(piece, finish, len(answer.prompt), made, began)) or text.is_stopped:
                return

    def close(self) -> None:
        """Free the model's memory. No generation may be under way."""
        self._is_closed = True
        self._wake.set()
        self._thread.join()
        del self._model

    # --- the batch's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_closed:
            try:
                self._leave([place for place, one in enumerate(self._answers) if one.is_stopped or one.is_behind()])
                self._admit()
                if self._rows is None:
                    self._wake.wait(_LOOK_S if self._parked else None)
                    self._wake.clear()
                else:
                    self._step(self._rows)
            except Exception as error:  # whatever torch raises is told to every answer that it concerns
                self._fail(error)

    def _admit(self) -> None:
        """Let answers in whose readers caught up, and new ones, while there is room."""
        for answer in [one for one in self._parked if one.is_stopped or not one.is_behind()]:
            self._parked.remove(answer)
            if not answer.is_stopped and answer.parked is not None:
                self._enter(answer, answer.parked)
                answer.parked = None
        while len(self._answers) < self._slots and (new := self._next()) is not None:
            self._begin(new)

    def _next(self) -> _Answer | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _begin(self, answer: _Answer) -> None:
        try:
            for done in self._model.begin(answer.prompt):
                if answer.is_stopped or self._is_closed:
                    return
                if done is not None and self._chooses(answer, done[1]):
                    self._enter(answer, done[0])
        except Exception as error:  # a prompt that cannot be worked on is its own answer's fault
            answer.tokens.put(error)

    def _enter(self, answer: _Answer, rows: Rows) -> None:
        self._rows = self._model.join(self._rows, rows)
        self._answers.append(answer)

    def _step(self, rows: Rows) -> None:
        lines = self._model.step(rows, [answer.last for answer in self._answers])
        self._leave(
            [place for place, one in enumerate(self._answers) if not self._chooses(one, lines[place])], park=False
        )

    def _chooses(self, answer: _Answer, logits: NDArray[np.float32]) -> bool:
        try:
            return answer.choose(logits, self._model.ends)
        except ValueError as error:
            answer.tokens.put(error)
            return False

    def _leave(self, places: list[int], *, park: bool = True) -> None:
        """Take rows out of the batch; those whose readers are slow keep what they have."""
        if not places or self._rows is None:
            return
        for place in places:
            answer = self._answers[place]
            if park and not answer.is_stopped:
                answer.parked = self._model.select(self._rows, [place])
                self._parked.append(answer)
        kept = [place for place in range(len(self._answers)) if place not in places]
        self._rows = self._model.select(self._rows, kept) if kept else None
        self._answers = [self._answers[place] for place in kept]

    def _fail(self, error: Exception) -> None:
        for answer in self._answers:
            answer.tokens.put(ModelError(f"local/{self._name} failed: {error}.", f"local/{self._name}"))
        self._answers, self._rows = [], None

    def __repr__(self) -> str:
        return f"<TorchServer {self._name} [{self.device}, answers: {len(self._answers)} of {self._slots}]>"


def _stops(body: Mapping[str, Any]) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)


def _chunk(text: str, finish: str | None, prompt: int, made: int, began: float) -> dict[str, Any]:
    """A chunk in OpenAI's form, with llama.cpp's counts; ``began`` is when the first token was there."""
    took_s = time.monotonic() - began
    rate = (made - 1) / took_s if made > 1 and took_s > 0 else 0.0
    timings = {"cache_n": 0, "prompt_n": prompt, "predicted_n": made, "predicted_per_second": rate}
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}], "timings": timings}
