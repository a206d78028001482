"""The form without a browser: what it takes, what it says, and what it is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel, field_validator

from dspex_lab import programs
from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, PipelineError, SignatureError, ValidationError
from dspex_lab.lab import Lab, use_lab
from dspex_lab.pipelines import native, pipeline
from dspex_lab.router import Decision, Operation, Options, RouterStatistics
from dspex_lab.router.strategies import auto, python
from dspex_lab.testing import FakeBackend
from dspex_lab.widgets import Form, form
from dspex_lab.widgets.form_state import card_signature, form_message
from dspex_lab.widgets.uploads import MAX_UPLOAD_BYTES, Uploads
from tests.unit.widgets.page import Page

TRIAGE = "ticket: str, stars: Annotated[int, Field(ge=1, le=5)], urgent: bool = False -> category: str"
TIMEOUT_S = 10.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab whose model answers with what it was given."""
    backend = FakeBackend({"dspy.run": lambda call: {"category": str(sorted(call.call.args["inputs"].items()))}})
    with Lab(backend=backend) as lab:
        lab.router.lm = LmSpec("local/tiny")
        lab.router.strategies.register("scripted", _scripted)
        lab.router.strategy = "scripted"
        before = use_lab(lab)
        yield lab
        use_lab(before)


def _scripted(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    return python(operation, options, statistics) if operation.signature else auto(operation, options, statistics)


# --- in Python ----------------------------------------------------------------------------------------------------


def test_what_was_typed_is_run_with_its_types(lab: Lab) -> None:
    """Text becomes what the program takes; the result is the form's."""
    made = form(TRIAGE)
    assert (made.run, made.result) == (None, None)
    made.submit({"ticket": "x", "stars": "4", "urgent": True}).result()
    assert made.run is not None
    assert made.run.inputs == {"ticket": "x", "stars": 4, "urgent": True}
    assert made.result is not None
    assert "('stars', 4)" in made.result.category


def test_every_field_that_is_wrong_is_told(lab: Lab) -> None:
    """Nothing runs then."""
    made = form(TRIAGE)
    with pytest.raises(ValidationError) as caught:
        made.submit({"stars": "9"})
    assert [one["field"] for one in caught.value.errors] == ["ticket", "stars"]
    assert made.run is None


def test_a_function_gets_the_types_that_it_asks_for(lab: Lab) -> None:
    """A number is no text, and what has a default may be left out."""

    def double(count: int, name: str = "x") -> str:
        return name * (count + 0)

    made = form(programs.native(double))
    assert made.submit({"count": "3", "name": ""}).result().double == "xxx"


def test_a_frame_that_was_given_stands_for_its_field(lab: Lab) -> None:
    """It stays in Python, and the page says so."""

    def count(table: pd.DataFrame) -> int:
        return len(table)

    frame = pd.DataFrame({"a": [1, 2, 3]})
    made = form(programs.native(count), table=frame)
    (field,) = made._fields
    assert (field.kind, field.held, field.default) == ("table", "DataFrame, 3 × 1", None)
    run = made.submit(made._filled_in({"table": {"upload": "held"}}))
    assert run.result().count == 3
    assert made.submit({"table": '[{"a": 1}]'}).result().count == 1


def test_a_pipeline_has_a_form(lab: Lab) -> None:
    """Its card says what it takes and gives, and the steps between."""
    made = pipeline("p", start=lab.launcher.start, a=native(lambda x: x), b=native(lambda a: f"{a}!"))
    shown = form(made, x="hello")
    message = form_message(made.plan, shown._fields)
    assert (message["name"], message["about"], message["is_single"]) == ("p", "a → b", False)
    assert [one["name"] for one in message["outputs"]] == ["a", "b"]
    assert message["inputs"][0]["default"] == "hello"


@pytest.mark.parametrize(
    ("what", "error"),
    [("question -> ", SignatureError), (TRIAGE, ConfigurationError), (42, (TypeError, SignatureError))],
)
def test_what_has_no_form_is_told(lab: Lab, what: Any, error: Any) -> None:
    """A text that is no signature, and a default for a field that there is not."""
    with pytest.raises(error):
        form(what, tickt="x")


def test_a_name_that_is_not_known_gets_a_guess(lab: Lab) -> None:
    """As everywhere."""
    with pytest.raises(ConfigurationError) as caught:
        form(TRIAGE, tickt="x")
    assert "'ticket'" in (caught.value.hint or "")


def test_without_a_page_a_form_is_its_card(lab: Lab) -> None:
    """HTML for what stores it, text for terminals; and no widget."""
    made = form(TRIAGE)
    bundle = made.bundle()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "Signature" in bundle["text/plain"]
    assert made._widget is None
    assert repr(made).startswith("<Form ")


def test_a_single_step_is_shown_by_its_signature(lab: Lab) -> None:
    """A chain of thought gives its reasoning too."""
    program = programs.chain_of_thought("question -> answer: int")
    card = card_signature(program.plan)
    assert [one.name for one in card.outputs] == [one.name for one in program.plan.outputs]


# --- in a page ----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    return Page.installed(monkeypatch, "dspex_lab.widgets.form")


@pytest.fixture
def live(lab: Lab, page: Page) -> Form:
    made = form(TRIAGE)
    made.bundle()
    return made


def test_a_run_is_begun_once_for_each_attempt(live: Form, page: Page) -> None:
    """The page says it until it hears of it; then it gets the state until the end."""
    wanted = {"kind": "run", "attempt": 7, "values": {"ticket": "x", "stars": "4"}}
    page.say(wanted)
    page.say(wanted)
    first = live.run
    assert first is not None
    state = page.next("state")
    while not state.get("run", {}).get("is_over"):
        state = page.next("state")
    assert state["run"]["id"] == first.id
    assert live._widget is not None
    assert live._widget.attempt == 7
    page.say(wanted)
    assert live.run is first


def test_a_refusal_names_the_fields_and_the_attempt(live: Form, page: Page) -> None:
    """So that the page knows which attempt it is about."""
    page.say({"kind": "run", "attempt": 8, "values": {"ticket": "x", "stars": "9"}})
    refused = page.next("refused")
    assert (refused["attempt"], [one["field"] for one in refused["faults"]]) == (8, ["stars"])


@pytest.mark.parametrize(("value", "message"), [("4", ""), ("9", "less than or equal to 5"), ("x", "valid integer")])
def test_a_value_is_checked_while_one_types(live: Form, page: Page, value: str, message: str) -> None:
    """Nothing is said of what fits."""
    page.say({"kind": "check", "field": "stars", "value": value, "check": 3})
    told = page.next("checked")
    assert (told["field"], told["check"], message in told["message"]) == ("stars", 3, True)
    assert bool(message) == bool(told["message"])


@pytest.mark.parametrize("content", [None, {}, {"kind": "run"}, {"kind": "run", "attempt": 1, "values": []}])
def test_what_the_page_should_not_say_is_let_go(live: Form, page: Page, content: Any) -> None:
    """It begins nothing."""
    live._on_message(None, content, [])
    assert live.run is None


def test_a_form_that_had_to_go_comes_back(live: Form, page: Page) -> None:
    """Closed, it shows its card; shown again, it has another widget."""
    before = live._widget
    live.close()
    live.close()
    assert live._widget is None
    live.bundle()
    assert live._widget is not before


def test_a_file_comes_in_pieces(live: Form, page: Page) -> None:
    """In whatever order; the page is told what is in it, or why it cannot be."""
    told = {"kind": "upload", "upload": "u", "field": "stars", "name": "a.txt", "type": "", "size": 4}
    page.say({**told, "at": 2}, [b"cd"])
    page.say({**told, "at": 0}, [b"ab"])
    assert page.next("uploaded")["message"] == ""
    page.say({**told, "upload": "v", "size": MAX_UPLOAD_BYTES + 1, "at": 0}, [b"ab"])
    assert "MB" in page.next("uploaded")["message"]


def test_a_piece_that_comes_twice_changes_nothing() -> None:
    """And an id that is not known is no file."""
    uploads = Uploads()
    told = {"upload": "u", "name": "a", "type": "", "size": 4}
    assert uploads.take({**told, "at": 0}, b"ab") is None
    assert uploads.take({**told, "at": 0}, b"ab") is None
    whole = uploads.take({**told, "at": 2}, b"cd")
    assert whole is not None
    assert whole.data == b"abcd"
    assert uploads.take({**told, "at": 2}, b"cd") is None
    assert uploads.resolved({"x": {"upload": "u"}, "y": {"upload": "v"}, "z": 1}) == {"x": whole, "y": None, "z": 1}


def test_files_that_never_come_whole_go() -> None:
    """A page that is reloaded while it sends leaves no memory behind; a file that is under way comes."""
    uploads = Uploads()
    told = {"name": "a", "type": "", "size": 4, "at": 0}
    for number in range(100):
        uploads.take({**told, "upload": str(number)}, b"ab")
    assert "coming: 32" in repr(uploads)
    assert uploads.take({**told, "upload": "99", "at": 2}, b"cd") is not None


@pytest.mark.parametrize("told", [{"at": 3}, {"at": -1}, {"size": 5}, {"size": 1}])
def test_what_is_no_piece_of_its_file_is_refused(told: dict[str, int]) -> None:
    """Nothing is kept of it."""
    uploads = Uploads()
    first = {"upload": "u", "name": "a", "type": "", "size": 4, "at": 0}
    uploads.take(first, b"ab")
    with pytest.raises(ValueError, match="no piece"):
        uploads.take({**first, "at": 2, **told}, b"cd")


class Fussy(BaseModel):
    """A user's type that fails in a way of its own."""

    name: str

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        raise KeyError(name)


def test_what_a_users_own_type_raises_is_told(lab: Lab, page: Page) -> None:
    """At the field while one types, and instead of a run: the page waits for no answer for ever."""

    def greet(who: Fussy) -> str:
        return who.name

    made = form(programs.native(greet))
    made.bundle()
    page.say({"kind": "check", "field": "who", "value": '{"name": "Ada"}', "check": 1})
    assert "KeyError" in page.next("checked")["message"]
    page.say({"kind": "run", "attempt": 1, "values": {"who": '{"name": "Ada"}'}})
    assert "KeyError" in page.next("refused")["faults"][0]["message"]


def test_an_error_of_the_program_is_told(lab: Lab, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said before a run begins stands below the fields."""
    made = form(TRIAGE)
    made.bundle()

    def refuse(**_: Any) -> None:
        raise PipelineError("Not today.", hint="Come back.")

    monkeypatch.setattr(made._runnable, "submit", refuse)
    page.say({"kind": "run", "attempt": 1, "values": {"ticket": "x", "stars": "4"}})
    assert page.next("refused")["faults"] == [{"field": "", "message": "Not today. Come back."}]
