"""F1 over 10,000 pairs, with SQuAD's normalisation, against DSPy's own in the same run.

Both give the same numbers, which is checked first. Texts are seeded, of a few words or of up to 30, one in ten with
accents or dashes.
"""

from __future__ import annotations

import contextlib
import io
import random

from dspex_lab.metrics import f1_score
from tests.benchmarks.table import Row, durations, median

__all__ = ["pairs", "rows"]

PAIRS = 10_000
RUNS = 7
AIM = 5.0
WORDS = ["the", "a", "an", "of", "Paris", "France", "river", "capital,", "city.", "model", "answers", "question:",
         "tokens;", "large", "(small)", "number", "42", "1,000", "don't", "state-of-the-art", "It", "is", "was", "not",
         "very", "often", "population", "million", "Eiffel", "Tower's", "height", "metres"]  # fmt: skip
ACCENTED = ["naïve", "café", "Zürich–Genève", "à", "São", "“quoted”"]


def pairs(count: int, *, most_words: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """``count`` predictions and references that share some of their words."""
    chance = random.Random(seed)

    def text() -> str:
        words = chance.choices(WORDS, k=chance.randint(1, most_words))
        if chance.random() < 0.1:
            words.insert(chance.randrange(len(words)), chance.choice(ACCENTED))
        return " ".join(words)

    return [text() for _ in range(count)], [text() for _ in range(count)]


def rows() -> list[Row]:
    """One row for short answers, one for long ones; milliseconds for all pairs."""
    return [_row("short answers, 1 to 5 words", 5), _row("long answers, 1 to 30 words", 30)]


def _row(kind: str, most_words: int) -> Row:
    from dspy.evaluate.metrics import f1_score as dspy_f1

    predictions, references = pairs(PAIRS, most_words=most_words)

    def ours() -> list[float]:
        return f1_score.columns(predictions, references, normalization="squad")

    def theirs() -> list[float]:
        return [dspy_f1(prediction, reference) for prediction, reference in zip(predictions, references, strict=True)]

    with contextlib.redirect_stdout(io.StringIO()):  # DSPy tells of each pair without a token
        if ours() != theirs():
            raise AssertionError("The scores differ from DSPy's.")
        our_ms = median(durations(ours, runs=RUNS, warm_up=1)) * 1e3
        their_ms = median(durations(theirs, runs=RUNS)) * 1e3
    ratio = their_ms / our_ms
    return Row(f"F1 of {PAIRS:,} {kind}", our_ms, "ms", "DSPy", their_ms, ratio, f">= {AIM:g}x", ratio >= AIM)
