"""The help texts of the magics: what ``%%signature?`` and its like show. Nothing is imported here."""

from __future__ import annotations

__all__ = ["LAB", "PIPELINE", "SIGNATURE"]

SIGNATURE = '''Define a typed signature.

    %%signature Triage
    """Route a support ticket to the right team."""
    ticket: str                                    # the customer's words
    language: str = "en"
    ->
    category: Literal["billing", "bug", "feature"]
    urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
    reply: str | None

Inputs stand above the arrow, outputs below it. A leading string is the instructions, a trailing comment a field's
description, `= value` an input's default, `Annotated[..., Field(...)]` a constraint that is enforced on the way in
and on the way out. Types: str int float bool list dict tuple set Literal Optional Union Any, nested at will, and
enums, dataclasses and pydantic models that the notebook defined. Afterwards `Triage` is the signature.
'''

PIPELINE = """Define a pipeline, and run it if asked to.

    %%pipeline support --run ticket="I was charged twice"
    triage = predict(Triage)
    both   = parallel(
        summary = chain_of_thought("ticket -> summary", stream=True),
        mood    = predict("ticket -> mood: Literal['calm', 'angry']"),
    )
    reply  = when(lambda s: s.urgency >= 4,
        then      = react("ticket, summary -> reply", tools=[find_order]),
        otherwise = predict("ticket, summary -> reply"),
    )

Each assignment is a step. A step reads the fields that it needs by name, and writes its own; steps that do not need
one another run at the same time. What is missing or of the wrong type is an error at its line before anything runs.

Steps:    predict  chain_of_thought  react  program_of_thought  module  native  template  ask  parallel  when  each
          ask("All right?", shows=["reply"], answer="approved: bool") waits for your answer in a form
Options:  pool=  lm=  timeout_s=  retry=  fallback=  cache=  stream=  route=  output_retries=  overwrite=  optional=

    --run name=value ...   run it with these inputs (Python expressions), in a live panel
    --resume               go on with the last run that has not come to its end, also after a restart
    --background           with --run or --resume: do not wait; the value is the run
    --dry-run              show the plan, run nothing

Afterwards `support` is the pipeline: `support(ticket="...")` runs it, and so does `lab.run_pipeline("support", ...)`;
`support.last_run.result()` is what it came to last.
"""

LAB = """The lab in one line.

    %lab [status]                 what runs: the host, its pools and workers
    %lab start [POOL]             start the host, and workers for POOL
    %lab stop                     end the host and every worker; the next call starts another
    %lab lm                       which language model is used
    %lab lm openai/gpt-4o-mini [api_base=URL] [temperature=0.2] [max_tokens=512] [timeout_s=60]
                                  use another: provider/name, as DSPy and LiteLLM write it, or local/NAME
                                  (its key comes from the environment: OPENAI_API_KEY and the like)
    %lab pools [POOL SIZE]        the pools; with a size, resize one while it works
    %lab pools add NAME [size=2] [max_memory_mb=2048] [gpu=auto] ...
                                  another pool, by the options of PoolSpec
    %lab pools restart NAME       replace its workers, each when it has finished its calls
    %lab pools remove NAME        let go of a pool that nobody uses
    %lab jobs                     detached calls, which go on without their notebook
    %lab jobs cancel ID           stop one
    %lab runs                     the runs of all notebooks; lab.run("ID").resume() goes on with one
    %lab traces                   the latest traces of all notebooks: a cell, with all that was begun in it
    %lab trace [ID]               one as a waterfall, by its id or a run's; the latest where none is named
    %lab panel pools              the pools live: workers, queues, memory, CPU; resize, restart, logs
    %lab panel metrics            latency, throughput, errors and tokens live; runs to compare
    %lab panel trace [ID]         a trace as a waterfall, the latest if none is named
    %lab logs [WORKER]            the last words of the host and its workers
    %lab connect WORKER           how to open a console on a worker
    %lab help                     this text
"""
