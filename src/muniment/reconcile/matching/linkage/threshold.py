"""From what probability on a pair belongs in the answer, without knowing the answer."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOWEST: Final = 0.2
"""No pair below this is called a match, however much F1 it would gain: four times of five it
would be wrong."""


def best_threshold(assigned: Floats, considered: float) -> float:
    """Return the probability at which the expected F1 is largest.

    With the k surest pairs, the expected right ones are the sum of their probabilities T(k), and
    F1 is 2 T(k) / (k + M), M being the expected number of all matches. The pairs worth taking are
    those above half the F1 so reached (Lipton and others 2014): this half is the threshold, which
    lies below one half, and new records are judged by it as the old ones were.

    Args:
        assigned: probabilities of the pairs that could be in the answer.
        considered: expected number of matches among all candidates.
    """
    if not len(assigned):
        return 0.5
    falling = np.sort(assigned)[::-1]
    right = np.cumsum(falling)
    expected = 2 * right / (np.arange(1, len(falling) + 1) + max(considered, right[-1]))
    best = int(np.argmax(expected))
    return max(min(float(falling[best]), float(expected[best]) / 2), LOWEST)
