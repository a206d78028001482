"""A remote model from a notebook to an endpoint and back, through a real host; its key is shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from dspex_lab.testing import Behaviour, OpenAiServer
from dspex_lab.testing.notebook import Notebook
from dspex_lab.testing.site import Site

KEY = "sk-test-0123456789abcdef"
ANSWER = Behaviour(text="[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]")
THOUGHT = Behaviour(
    text="[[ ## reasoning ## ]]\nIt is known well.\n\n[[ ## answer ## ]]\nParis it is\n\n[[ ## completed ## ]]"
)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer(ANSWER) as made:
        yield made


@pytest.fixture(scope="module")
def notebook(open_notebook: Callable[..., Notebook], server: OpenAiServer) -> Notebook:
    """A notebook that chose the remote model in one line; it writes down every event."""
    made = open_notebook(OPENAI_API_KEY=KEY, DEEPSEEK_API_KEY=f"{KEY}-deep")
    made.value("seen = []\nunsubscribe = lab.current_lab().hub.on('*', lambda event: seen.append(repr(event)))")
    shown = made.value(f"%lab lm openai/gpt-4o-mini api_base={server.api_base}")
    assert shown == f"openai/gpt-4o-mini (remote, api_base {server.api_base})"
    return made


def ask(route: str = "hybrid", **options: object) -> str:
    """A cell that asks and keeps the result as ``got``."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"got = lab.predict('question -> answer', route={route!r}{given})(question='Capital of France?')\n"


@pytest.mark.parametrize("route", ["hybrid", "python"])
def test_a_question_is_answered_and_counted(notebook: Notebook, server: OpenAiServer, route: str) -> None:
    """The answer is the endpoint's, the usage is what it said, the key is the environment's."""
    asked = len(server.requests)
    shown = notebook.value(
        f"{ask(route)}use = got.metrics.usage\n(got.answer, use.lm_calls, use.input_tokens > 0, use.output_tokens)"
    )
    assert shown.startswith("('Paris', 1, True, ")
    assert len(server.requests) == asked + 1
    assert server.authorizations[-1] == f"Bearer {KEY}"
    assert server.requests[-1]["model"] == "gpt-4o-mini"


@pytest.mark.parametrize("route", ["hybrid", "python"])
def test_a_chain_of_thought_streams(notebook: Notebook, server: OpenAiServer, route: str) -> None:
    """Reasoning and answer come in pieces, in their order, and make up the result."""
    server.play(THOUGHT)
    shown = notebook.value(
        f"stream = lab.chain_of_thought('question -> answer', route={route!r}).stream(question='Why?')\n"
        "pieces = [(piece.field, piece.text) for piece in stream]\n"
        "told = {name: ''.join(text for field, text in pieces if field == name) for name, _ in pieces}\n"
        "got = stream.result\n"
        "(len(pieces) > 3, list(told), told == {'reasoning': got.reasoning, 'answer': got.answer}, got.answer)"
    )
    assert shown == "(True, ['reasoning', 'answer'], True, 'Paris it is')"
    assert server.requests[-1]["stream"] is True


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour(status=401, message=f"Incorrect API key provided: {KEY}."),
            ["refuses the key (401)", "OPENAI_API_KEY"],
        ),
        (
            Behaviour(status=404, message="No such model."),
            ["There is no openai/gpt-4o-mini at http", "Check the model's name"],
        ),
        (Behaviour(status=400, message="Bad temperature."), ["refused the request (400): Bad temperature."]),
    ],
    ids=["401", "404", "400"],
)
@pytest.mark.parametrize("route", ["hybrid", "python"])
def test_what_will_not_get_better_is_asked_once(
    notebook: Notebook, server: OpenAiServer, behaviour: Behaviour, words: list[str], route: str
) -> None:
    """A refusal is a ModelError with a hint and the user's line, without a second try, and without the key."""
    asked = len(server.requests)
    server.play(behaviour)
    shown = notebook.run(ask(route))
    assert shown.error_name == "ModelError"
    assert [part for part in words if part not in shown.error] == []
    assert "  line 1: got = lab.predict(" in shown.error
    assert KEY not in shown.error
    assert len(server.requests) == asked + 1


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=429, headers={"retry-after": "0"}),
        Behaviour(status=500),
        Behaviour(status=503),
        Behaviour(text=ANSWER.text, cut_after=2),
    ],
    ids=["429", "500", "503", "cut"],
)
@pytest.mark.parametrize("route", ["hybrid", "python"])
def test_what_may_get_better_is_tried_again(
    notebook: Notebook, server: OpenAiServer, behaviour: Behaviour, route: str
) -> None:
    """After one failure the next try succeeds, and the result says that there was one retry."""
    asked = len(server.requests)
    server.play(behaviour)
    retries = "sum(one.retries for one in got.metrics.values())"
    assert notebook.value(f"{ask(route, stream=True)}(got.answer, {retries})") == "('Paris', 1)"
    assert len(server.requests) == asked + 2


def test_what_does_not_get_better_ends(notebook: Notebook, server: OpenAiServer) -> None:
    """The tries are counted; then the last error is told."""
    asked = len(server.requests)
    server.play(*[Behaviour(status=500, message="Down.")] * 2)
    shown = notebook.run(ask(retry=1))
    assert shown.error_name == "ModelError"
    assert "openai/gpt-4o-mini failed (500): Down." in shown.error
    assert len(server.requests) == asked + 2


def test_another_provider_goes_through_litellm(notebook: Notebook, server: OpenAiServer) -> None:
    """A LiteLLM name with an address is asked there, with that provider's key; the model before comes back."""
    notebook.value(f"%lab lm deepseek/deepseek-chat api_base={server.api_base}")
    shown = notebook.value(f"{ask()}(got.answer, got.metrics.usage.lm_calls)")
    notebook.value(f"%lab lm openai/gpt-4o-mini api_base={server.api_base}")
    assert shown == "('Paris', 1)"
    assert server.authorizations[-1] == f"Bearer {KEY}-deep"
    assert server.requests[-1]["model"] == "deepseek-chat"


def test_an_unreachable_endpoint_is_said(notebook: Notebook) -> None:
    """An address where nobody listens is a ModelError that names it."""
    with OpenAiServer() as gone:
        address = gone.api_base
    notebook.value(f"before = lab.current_lab().lm\nspec = lab.LmSpec('openai/x', api_base={address!r}, api_key='k')")
    shown = notebook.run("lab.predict('question -> answer', lm=spec, retry=0)(question='x')")
    assert shown.error_name == "ModelError"
    assert f"cannot be reached at {address}" in shown.error


def test_the_key_is_shown_nowhere(notebook: Notebook, notebook_site: Site, server: OpenAiServer) -> None:
    """No event, no representation, no environment of a worker and no file of the host holds it."""
    server.play(Behaviour(status=401, message=f"Incorrect API key provided: {KEY}."))
    notebook.run(ask("python"))
    assert int(notebook.value("len(seen)")) > 20
    everything = "[*seen, *map(repr, (lab.current_lab(), lab.current_lab().settings, lab.current_lab().lm, got))]"
    assert notebook.value(f"[one for one in {everything} if {KEY[:10]!r} in one]") == "[]"
    environment = "lab.native(lambda: repr(dict(__import__('os').environ)), pool='general', writes=['text'])()"
    assert KEY not in notebook.value(f"{environment}.text")
    logs = [path for path in notebook_site.folder.rglob("*") if path.is_file()]
    assert any(path.name == "host.log" for path in logs)
    assert [path for path in logs if re.search(KEY.encode(), path.read_bytes())] == []
