"""One evaluation during a policy training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SacMilestone:
    """How good the policy was after so many steps.

    Attributes:
        step: Environment steps taken.
        episode: Episodes played.
        return_mean: Mean return of the stochastic policy, over the evaluation's episodes.
        return_std: Its standard deviation.
        normalized_score: ``return_mean`` on D4RL's scale, 0 for a random policy, 100 for D4RL's reference.
    """

    step: int
    episode: int
    return_mean: float
    return_std: float
    normalized_score: float
