"""What leaves the host: spans as they end, to a receiver of OTLP, and nothing that is private or secret, anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.lab import Lab, use_lab
from dspex_lab.programs import chain_of_thought, predict
from dspex_lab.settings import Settings
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from dspex_lab.testing.site import Site
from tests.unit.telemetry.export.receiver import Receiver, plain

SECRET, HEADER = "sk-" + "s3cr3t" * 4, "header-secret-1234"
PRIVATE = "a private question"
ANSWER = "[[ ## reasoning ## ]]\nso\n\n[[ ## answer ## ]]\na private answer\n\n[[ ## completed ## ]]"


@pytest.fixture(autouse=True)  # set up before any test looks for leaks
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as made:
        made.behaviour = Behaviour(text=ANSWER)
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def ask(settings: Settings, server: OpenAiServer) -> list[str]:
    """Both routes to a model, in a notebook of its own; what can be seen of their traces."""
    with Lab(settings) as lab:
        before = use_lab(lab)
        lab.use_lm("openai/scripted", api_base=server.api_base, api_key=SECRET)
        runs = [program("question -> answer").submit(question=PRIVATE) for program in (predict, chain_of_thought)]
        runs.append(predict("question -> answer", route="python").submit(question=f"{PRIVATE}: is {SECRET} mine?"))
        for run in runs:
            run.result()
        seen = [repr(lab.trace(run.id)) + str(lab.trace(run.id).spans) for run in runs]
        use_lab(before)
        return seen


def stored(settings: Settings) -> bytes:
    """Every byte of the store."""
    return b"".join(path.read_bytes() for path in settings.trace_file.parent.glob("traces.sqlite*"))


def test_every_span_is_shipped_as_it_ends(site: Site, server: OpenAiServer, receiver: Receiver, tmp_path: Path) -> None:
    """What the receiver has is what the store has: the same ids, parents, names and times; and no secret is in it."""
    settings = site.settings(data_dir=tmp_path, otlp_endpoint=receiver.endpoint, otlp_headers=f"authorization={HEADER}")
    with Lab(settings) as lab:
        before = use_lab(lab)
        lab.use_lm("openai/scripted", api_base=server.api_base, api_key=SECRET)
        run = predict("question -> answer", route="python").submit(question=f"is {SECRET} mine?")
        run.result()
        trace = lab.trace(run.id)
        use_lab(before)
        shipped = {span.span_id.hex(): span for span in receiver.wait_for(len(trace))}
    assert {span.span_id for span in trace.spans} == set(shipped)
    for span in trace.spans:
        other = shipped[span.span_id]
        assert (other.name, other.parent_span_id.hex()) == (span.name, span.parent_id or "")
        assert other.start_time_unix_nano == pytest.approx(span.start * 1e9, abs=1_000)
        assert plain(other.attributes)["dspex.kind"] == span.attributes["dspex.kind"]
    assert receiver.headers[0]["authorization"] == HEADER
    assert SECRET.encode() not in b"".join(receiver.bodies)
    logs = b"".join(path.read_bytes() for path in site.folder.rglob("*.log"))
    assert SECRET.encode() not in stored(settings) + logs
    assert HEADER.encode() not in stored(settings) + logs


def test_prompts_can_be_left_out_everywhere(
    site: Site, server: OpenAiServer, receiver: Receiver, tmp_path: Path
) -> None:
    """Neither the notebook, nor the store, nor the receiver has a word of what was asked and answered; figures stay."""
    settings = site.settings(data_dir=tmp_path, record_prompts=False, otlp_endpoint=receiver.endpoint)
    seen = ask(settings, server)
    receiver.wait_for(10)
    for text in (*seen, stored(settings).decode(errors="replace"), b"".join(receiver.bodies).decode(errors="replace")):
        assert "private" not in text
    assert "tokens" in seen[0]


def test_one_notebook_keeps_its_prompts_to_itself_on_a_host_of_others(
    site: Site, server: OpenAiServer, tmp_path: Path
) -> None:
    """Another one started the host and records its own: each one's setting holds for what it does, in workers too."""
    settings = site.settings(data_dir=tmp_path)
    with Lab(settings) as other:
        other.start()
        seen = ask(site.settings(data_dir=tmp_path, record_prompts=False), server)
        assert "private" not in "".join(seen)
        assert "private" not in stored(settings).decode(errors="replace")
        assert "private" in "".join(ask(settings, server))
