"""What ran in Kiln, what torch did instead, and why: counted, and warned of once for each reason."""

from __future__ import annotations

import threading
import warnings
from typing import Any

_LOCK = threading.Lock()


class Counts:
    """Counters of this process. `ran` grows without a lock: a run that is lost among threads does not matter."""

    ran = 0
    reasons: dict[str, int] = {}
    warned: set[str] = set()


def fell_back(reason: str, detail: str = "") -> None:
    """Counts a convolution that torch did; the first for a reason warns, with the detail."""
    with _LOCK:
        Counts.reasons[reason] = Counts.reasons.get(reason, 0) + 1
        first = reason not in Counts.warned
        Counts.warned.add(reason)
    if first:
        text = f"{reason} ({detail})" if detail else reason
        warnings.warn(f"kiln.torch leaves a convolution to torch: {text}", stacklevel=6)


def stats(*, reset: bool = False) -> dict[str, Any]:
    """What this process has counted: {"kiln": runs in Kiln, "torch": in torch instead, "reasons": those, by why}.

    reset: the counters start again from 0, and reasons that were warned of warn again.
    """
    with _LOCK:
        told = {"kiln": Counts.ran, "torch": sum(Counts.reasons.values()), "reasons": dict(Counts.reasons)}
        if reset:
            Counts.ran = 0
            Counts.reasons.clear()
            Counts.warned.clear()
    return told
