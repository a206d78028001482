"""The batch of the engine ``transformers`` over a model that counts: who is in it, who waits, and how answers end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dspex_lab.worker.engines import torch_server
from dspex_lab.worker.engines.torch_model import Rows
from dspex_lab.worker.engines.torch_server import TorchServer

END = 255
LIMIT_S = 20.0


class CountingModel:
    """After a prompt of ``n`` words come the tokens n, n + 1, ... up to 200; its cache is the list of its rows."""

    device = "cpu"
    vocabulary = 256
    context_tokens = 300
    ends = frozenset({END})
    tokenizer = None

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        return list(range(len(messages[0]["content"].split())))

    def text(self, tokens: list[int]) -> str:
        return "".join(f"{token} " for token in tokens)

    def begin(self, prompt: Sequence[int]) -> Iterator[tuple[Rows, NDArray[np.float32]] | None]:
        yield None
        yield Rows([list(prompt)], [len(prompt)]), _next(len(prompt))

    def step(self, rows: Rows, tokens: Sequence[int]) -> NDArray[np.float32]:
        assert self.gate.wait(LIMIT_S)
        if self.error is not None:
            raise self.error
        self.batches.append(len(tokens))
        for row, token in zip(rows.cache, tokens, strict=True):
            assert token == len(row), "a row was given another's token"
            row.append(token)
        return np.stack([_next(token + 1) for token in tokens])

    def join(self, first: Rows | None, second: Rows) -> Rows:
        return second if first is None else Rows(first.cache + second.cache, first.lengths + second.lengths)

    def select(self, rows: Rows, kept: Sequence[int]) -> Rows:
        return Rows([rows.cache[place] for place in kept], [rows.lengths[place] for place in kept])


def _next(token: int) -> NDArray[np.float32]:
    logits = np.zeros(256, dtype=np.float32)
    logits[token if token <= 200 else END] = 1.0
    return logits


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> CountingModel:
    made = CountingModel()
    monkeypatch.setattr(torch_server, "TorchModel", lambda path: made)
    return made


@pytest.fixture
def server(model: CountingModel) -> Iterator[TorchServer]:
    made = TorchServer(Path("small.gguf"), slots=4)
    yield made
    made.close()


class Reader:
    """Keeps what an answer said; ``until`` says when it has enough."""

    def __init__(self, until: Callable[[str], bool] = lambda text: False) -> None:
        self.text = ""
        self.finish: str | None = None
        self.last: dict[str, Any] = {}
        self._until = until

    def take(self, chunk: dict[str, Any]) -> bool:
        self.last = chunk or self.last
        for choice in chunk.get("choices", ()):
            self.text += choice["delta"]["content"]
            self.finish = choice["finish_reason"]
        return self._until(self.text)


def ask(words: int, max_tokens: int = 5, **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "word " * words}], "max_tokens": max_tokens, **options}


def counted(begin: int, count: int) -> str:
    return "".join(f"{number} " for number in range(begin, begin + count))


def test_an_answer_ends_at_its_limit(server: TorchServer) -> None:
    """It has ``max_tokens`` tokens, says so, and counts them."""
    reader = Reader()
    server.generate(ask(3), reader.take)
    assert (reader.text, reader.finish) == (counted(3, 5), "length")
    assert reader.last["timings"]["prompt_n"] == 3
    assert reader.last["timings"]["predicted_n"] == 5


def test_an_answer_ends_with_the_model_s_end(server: TorchServer) -> None:
    """The token that ends an answer is no part of it."""
    reader = Reader()
    server.generate(ask(198, 50), reader.take)
    assert (reader.text, reader.finish) == (counted(198, 3), "stop")


def test_an_answer_ends_before_a_stop_string(server: TorchServer) -> None:
    """What comes from the stop string on is left out."""
    reader = Reader()
    server.generate(ask(1, 50, stop="7 "), reader.take)
    assert (reader.text, reader.finish) == (counted(1, 6), "stop")


def test_a_prompt_that_is_too_long_is_told(server: TorchServer) -> None:
    """An error with both sizes, and nothing is computed."""
    reader = Reader()
    server.generate(ask(300), reader.take)
    assert reader.last["error"] == {"type": "exceed_context_size_error", "n_prompt_tokens": 300, "n_ctx": 300}


def test_answers_share_a_batch(server: TorchServer, model: CountingModel) -> None:
    """Answers of different lengths are decoded together, each with its own tokens, and more than there is room for
    wait for their turn."""
    model.gate.clear()
    readers = [Reader() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        work = [threads.submit(server.generate, ask(n + 1, 30 + n), one.take) for n, one in enumerate(readers)]
        model.gate.set()
        _wait(work)
    assert [one.text for one in readers] == [counted(n + 1, 30 + n) for n in range(6)]
    assert 1 < max(model.batches) <= 4


def test_a_reader_that_has_enough_leaves_the_others(server: TorchServer) -> None:
    """It gets no more; an answer beside it goes on to its end."""
    early, other = Reader(lambda text: "5 " in text), Reader()
    with ThreadPoolExecutor(2) as threads:
        _wait([threads.submit(server.generate, ask(1, 90), one.take) for one in (early, other)])
    assert early.text == counted(1, 5)
    assert other.text == counted(1, 90)


def test_a_slow_reader_holds_up_nobody(server: TorchServer) -> None:
    """While one reader does not read, another's answer comes to its end; then the first one's does too, whole."""
    released, reading = threading.Event(), threading.Event()
    slow, quick = Reader(), Reader()

    def take_slowly(chunk: dict[str, Any]) -> bool:
        reading.set()
        return slow.take(chunk) if released.wait(LIMIT_S) else True

    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(server.generate, ask(1, 150), take_slowly)
        assert reading.wait(LIMIT_S)
        _wait([threads.submit(server.generate, ask(2, 150), quick.take)])
        assert not waiting.done()
        released.set()
        _wait([waiting])
    assert quick.text == counted(2, 150)
    assert slow.text == counted(1, 150)


def test_a_model_that_fails_fails_its_answers_and_goes_on(server: TorchServer, model: CountingModel) -> None:
    """Whoever waits is told, and the next answer is whole."""
    model.error = RuntimeError("out of memory")
    with pytest.raises(Exception, match="out of memory"):
        server.generate(ask(1), Reader().take)
    model.error = None
    reader = Reader()
    server.generate(ask(1), reader.take)
    assert reader.text == counted(1, 5)


def _wait(work: Sequence[Future[None]]) -> None:
    for one in work:
        one.result(LIMIT_S)
