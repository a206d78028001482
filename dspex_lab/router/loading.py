"""A local model is loaded before it is asked: which call does that. Knows nothing of how the call travels."""

from __future__ import annotations

from dspex_lab.calls import Call, LmSpec
from dspex_lab.router.questions import NEURAL_POOL
from dspex_lab.router.result_key import local_mark
from dspex_lab.settings import Settings

__all__ = ["load_call"]


def load_call(lm: LmSpec, settings: Settings) -> Call | None:
    """The call after which the first question to ``lm`` waits for no model to load; None for a remote one, and where no
    pool has local models. A ``ModelError`` for a model that is not there: no worker is started for it."""
    if not lm.is_local or all(spec.name != NEURAL_POOL for spec in settings.pools):
        return None
    local_mark(lm, settings.model_dir)
    return Call("lm.load", {"model": lm.model}, pool=NEURAL_POOL, priority="batch", idempotent=True)
