"""What the hybrid route costs, against ``dspy.Predict`` in this process, both over models that answer at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import msgspec

from dspex_lab.calls import Call, Code, LmReply, LmSpec
from dspex_lab.lab import Lab, use_lab
from dspex_lab.pipelines import predict
from dspex_lab.programs import predict as predict_program
from dspex_lab.router import CallSettings
from dspex_lab.router.questions import ask
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.signatures import compile_signature
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from tests.benchmarks.pool import own_lab
from tests.benchmarks.table import Row, durations, median

__all__ = ["rows"]

SIGNATURE = "question, context: list[str] -> answer: str, confidence: float, kind: Literal['fact', 'opinion']"
INPUTS = {"question": "What is the capital of France?", "context": ["Paris is the capital of France."] * 5}
REPLY = "[[ ## answer ## ]]\nParis\n\n[[ ## confidence ## ]]\n0.9\n\n[[ ## kind ## ]]\nfact\n\n[[ ## completed ## ]]"
OUTPUTS = {"answer": "Paris", "confidence": 0.9, "kind": "fact"}
MODEL = "openai/instant"
RUNS, WARM_UP = 1000, 100
#: Calls take turns in groups, so that a slow spell of the machine meets both sides.
ROUNDS = 5


def rows() -> list[Row]:
    """CPU of the native part; a whole call through the pool; both over an engine, and over HTTP."""
    with OpenAiServer(Behaviour(text=REPLY)) as server:
        dspy_call, dspy_over_http = _dspy_predict(_instant_lm()), _dspy_predict(_http_lm(server.api_base))
        gc.freeze()  # a notebook that takes the hybrid route never has DSPy's heap to look through
        native_s, dspy_s = _cpu_s(_native_part()), _cpu_s(dspy_call)
        spec = PoolSpec(name="general", size=1, min_ready=1, concurrency=64)
        base = "http://127.0.0.1:9/v1"  # never asked: the worker's engine answers by itself
        settings = Settings.create(pools=(spec,), idle_exit_s=30.0, lm=MODEL, lm_api_base=base, lm_api_key="none")
        with own_lab(settings) as lab:
            http_s, dspy_http_s = _whole(lab, dspy_over_http, LmSpec("openai/http", api_base=server.api_base))
            _answer_at_once(lab)
            whole_s, dspy_whole_s = _whole(lab, dspy_call, LmSpec(MODEL, api_base=base))
            run_s = _run_s(lab)
    return [
        _row("hybrid: native part (render, parse, validate), CPU", native_s, dspy_s, most=1 / 5),
        _row("hybrid: whole call through the pool, p50", whole_s, dspy_whole_s, most=1.0),
        _row("hybrid: the same as a program with its run, p50", run_s, dspy_whole_s),
        _row("hybrid: whole call, model over HTTP, p50", http_s, dspy_http_s, peer="dspy.Predict over HTTP"),
    ]


def _row(name: str, value_s: float, peer_s: float, *, peer: str = "dspy.Predict", most: float | None = None) -> Row:
    ratio = value_s / peer_s
    aim = "" if most is None else f"<= {most:.3g}x"
    is_met = None if most is None else ratio <= most
    return Row(name, value_s * 1000, "ms", peer, peer_s * 1000, ratio, aim, is_met=is_met)


# --- the hybrid route ---------------------------------------------------------------------------------------------


def _native_part() -> Callable[[], None]:
    """All that the notebook's process does for a call, but for sending it."""
    operation = predict(SIGNATURE).operation
    signature = compile_signature(SIGNATURE)
    settings = CallSettings("general", LmSpec(MODEL))

    def call() -> None:
        inputs = signature.serializer.dump(signature.validator.validate_inputs(INPUTS))
        question = ask(operation, inputs, settings)
        question.call(operation, settings)
        outputs = signature.validator.validate_outputs(question.outputs(_REPLY_DATA))
        assert outputs == OUTPUTS

    return call


_REPLY_DATA = msgspec.to_builtins(LmReply(REPLY, MODEL, "stop"))


def _whole(lab: Lab, dspy_call: Callable[[], None], lm: LmSpec) -> tuple[float, float]:
    """Median seconds of a call through the pool, measured on the lab's own loop, and of the peer's."""
    leaf = predict(SIGNATURE)
    lab.router.lm = lm

    async def some(runs: int) -> list[float]:
        taken = []
        for _ in range(runs):
            began = time.perf_counter()
            outcome = await lab.router.execute(leaf.operation, INPUTS, options=leaf.options)
            taken.append(time.perf_counter() - began)
            assert outcome.outputs == OUTPUTS
            assert outcome.route == "hybrid"
        return taken

    lab.portal.run(some, WARM_UP)
    durations(dspy_call, runs=WARM_UP)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours += lab.portal.run(some, RUNS // ROUNDS)
        theirs += durations(dspy_call, runs=RUNS // ROUNDS)
    return median(ours), median(theirs)


def _run_s(lab: Lab) -> float:
    """Median seconds of a program that is called as a user calls it: with a run, its events and its record."""
    before = use_lab(lab)
    try:
        program = predict_program(SIGNATURE)
        return median(durations(lambda: program(**INPUTS), runs=RUNS // ROUNDS, warm_up=WARM_UP // ROUNDS))
    finally:
        use_lab(before)


def _answer_at_once(lab: Lab) -> None:
    """Give the pool's one worker an engine that answers at once."""
    reply = REPLY

    def install() -> None:  # defined here, so that it travels by value
        from dspex_lab.calls import LmReply, LmRequest, Usage
        from dspex_lab.worker.context import current_context
        from dspex_lab.worker.engines import EngineSet, OnText, install_engines

        class Instant:
            async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
                return LmReply(reply, request.lm.model, "stop", Usage(100, 20, lm_calls=1))

            async def aclose(self) -> None:
                return

        context = current_context.get()
        assert context is not None
        engines = EngineSet()
        engines.put("openai", Instant())
        install_engines(context.services, engines)

    async def call() -> None:
        await lab.backend.submit(Call("python.call", {"function": Code(install)}, timeout_s=60.0)).result()

    lab.portal.run(call)


# --- the peer -----------------------------------------------------------------------------------------------------


def _dspy_predict(lm: Any) -> Callable[[], None]:
    import dspy

    program = dspy.Predict(SIGNATURE)

    def call() -> None:
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            prediction = program(**INPUTS)
        assert prediction.answer == OUTPUTS["answer"]

    return call


def _instant_lm() -> Any:
    import dspy
    from dspy import lm15

    class Instant:
        supports_function_calling = supports_reasoning = False
        supports_response_schema = True
        supported_params = frozenset({"temperature", "max_tokens", "response_format"})

        def complete(self, request: Any) -> Any:
            message = lm15.Message.assistant([lm15.TextPart(REPLY)])
            usage = lm15.Usage(input_tokens=100, output_tokens=20)
            return lm15.Response(id=None, model=MODEL, message=message, finish_reason="stop", usage=usage)

        def close(self) -> None:
            return

    return dspy.LM(MODEL, engine=Instant(), cache=False, num_retries=0)


def _http_lm(api_base: str) -> Any:
    import dspy

    return dspy.LM("openai/http", api_base=api_base, api_key="none", cache=False, num_retries=0)


def _cpu_s(function: Callable[[], None]) -> float:
    """CPU seconds of one call: the median of the rounds' means."""
    for _ in range(WARM_UP):
        function()
    means = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(RUNS // ROUNDS):
            function()
        means.append((time.process_time() - began) / (RUNS // ROUNDS))
    return median(means)
