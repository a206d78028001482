"""DSPy's modules that write code, end to end: a scripted model, a real host, the code in the sandbox."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import msgspec
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code, LmSpec
from dspex_lab.errors import ConfigurationError
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour, says
from dspex_lab.testing.site import Site

Connect = Callable[[Settings], KernelBackend]

POOLS = (PoolSpec(name="general", size=1), PoolSpec(name="sandbox", size=1, sandbox="on", op_timeout_s=2.0))


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as made:
        yield made


def code(text: str) -> str:
    return f"```python\n{text}\n```"


async def run(backend: KernelBackend, server: OpenAiServer, **arguments: Any) -> Any:
    lm = msgspec.to_builtins(LmSpec("openai/scripted", api_base=server.api_base, api_key="k"))
    async with asyncio.timeout(45):
        return (await backend.submit(Call("dspy.run", {"lm": lm, **arguments})).result()).value


POT: dict[str, Any] = {
    "kind": "program_of_thought",
    "inputs": {"question": "What is 6 times 7?"},
    "signature": {"text": "question -> answer: int"},
}


async def test_program_of_thought_runs_its_code_in_the_sandbox(
    shared_site: Site, connect: Connect, server: OpenAiServer
) -> None:
    """A fault goes back to the model, its better code runs, and what it submits is what the answer is made of."""
    backend = connect(shared_site.settings(*POOLS, preload=("dspy",)))
    server.play(
        says(reasoning="try", generated_code=code("open('/etc/shadow')")),
        says(reasoning="try again", generated_code=code("x = 6 * 7\nSUBMIT({'answer': x})")),
        says(reasoning="so it is", answer="42"),
    )
    assert (await run(backend, server, **POT))["answer"] == 42
    prompts = [request["messages"][-1]["content"] for request in server.requests]
    assert "PermissionError" in prompts[1]
    assert '{"output": {"answer": 42}}' in prompts[2]


async def test_an_endless_loop_is_a_fault_that_the_model_hears_of(
    shared_site: Site, connect: Connect, server: OpenAiServer
) -> None:
    """The pool's time ends the code and not the program."""
    backend = connect(shared_site.settings(*POOLS, preload=("dspy",)))
    server.play(
        says(reasoning="try", generated_code=code("while True:\n    pass")),
        says(reasoning="try again", generated_code=code("SUBMIT(42)")),
        says(reasoning="so it is", answer="42"),
    )
    assert (await run(backend, server, **POT))["answer"] == 42
    assert "ran longer than" in server.requests[1]["messages"][-1]["content"]


def explorer() -> Any:
    import dspy

    return dspy.RLM("text: str -> answer: int", max_iters=3, tools=[double])


def double(n: int) -> int:
    """Twice n."""
    return 2 * n


async def test_rlm_keeps_state_and_asks_its_tools(shared_site: Site, connect: Connect, server: OpenAiServer) -> None:
    """Functions, imports and variables last from block to block; tools and questions to the model are answered."""
    backend = connect(shared_site.settings(*POOLS, preload=("dspy",)))
    server.play(
        says(reasoning="look", code=code("import math\ndef size(): return math.floor(len(text))\nprint(size())")),
        says(reasoning="ask", code=code("found = llm_query('how many?'); print(found, double(n=size()))")),
        Behaviour(text="three"),
        says(reasoning="end", code=code("SUBMIT(double(n=size()) + len(found))")),
    )
    cloudpickle.register_pickle_by_value(sys.modules[double.__module__])
    answer = await run(backend, server, kind="module", inputs={"text": "hello"}, options={"module": Code(explorer())})
    assert answer["answer"] == 15
    assert [step["output"] for step in answer["trajectory"][:2]] == ["5", "three 10"]


async def test_a_host_without_a_sandbox_says_so(site: Site, connect: Connect, server: OpenAiServer) -> None:
    """The error names the pool that is missing, and no code runs anywhere else."""
    backend = connect(site.settings(PoolSpec(name="general", size=1), preload=("dspy",)))
    server.play(says(reasoning="try", generated_code=code("SUBMIT(42)")))
    with pytest.raises(ConfigurationError, match="'sandbox'"):
        await run(backend, server, **POT)
    assert len(server.requests) == 1
