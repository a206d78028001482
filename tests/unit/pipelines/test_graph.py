"""A plan drawn offline."""

from __future__ import annotations

from xml.etree import ElementTree

from dspex_lab.pipelines import compile_plan, native, parallel, predict
from dspex_lab.pipelines.graph import draw

SVG = "{http://www.w3.org/2000/svg}"
PLAN = compile_plan(
    "a <plan>",
    {
        "text": native(lambda ticket: ticket),
        "both": parallel(summary=predict("text -> summary"), mood=predict("ticket -> mood")),
        "reply": predict("summary, mood -> reply"),
    },
)


def test_every_step_and_input_has_a_box_and_every_flow_a_line() -> None:
    """One box for each outer step and input, one line between two that share fields."""
    picture = ElementTree.fromstring(draw(PLAN))
    assert len(picture.findall(f"{SVG}rect")) == 4
    flows = [path.findtext(f"{SVG}title") for path in picture.findall(f"{SVG}path")]
    assert flows == ["ticket", "text", "ticket", "summary, mood"]
    words = " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))
    assert all(name in words for name in ("text", "both", "summary", "mood", "reply", "ticket"))


def test_boxes_do_not_overlap() -> None:
    """No two boxes share a spot."""
    boxes = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in ElementTree.fromstring(draw(PLAN)).findall(f"{SVG}rect")
    ]
    for index, (x1, y1, w1, h1) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[index + 1 :]:
            assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_names_are_escaped() -> None:
    """The pipeline's name is text, never markup."""
    assert 'aria-label="Steps of a &lt;plan&gt;"' in draw(PLAN)
