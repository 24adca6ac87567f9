from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, model_validator


class EpisodeScores(BaseModel):
    """How each episode of one protocol went, and what deciding cost.

    Attributes:
        seeds: One an episode, all different.
        returns: Undiscounted.
        scores: D4RL-normalised, of the returns.
        lengths: Environment steps.
        latched_scores: Score if every step after first reaching the goal counted; None where there is no goal.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        decision_seconds: Wall time in the planner for one environment step.
        decision_cpu_seconds: Processor time for the same.
        decision_gflop: Operations for the same, in 1e9; None where the planner does not count them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: list[int]
    returns: list[float]
    scores: list[float]
    lengths: list[int]
    latched_scores: list[float] | None
    reference_min: float
    reference_max: float
    decision_seconds: float
    decision_cpu_seconds: float
    decision_gflop: float | None

    @model_validator(mode="after")
    def _check(self) -> "EpisodeScores":
        columns: list[Sequence[float]] = [self.returns, self.scores, self.lengths]
        if self.latched_scores is not None:
            columns.append(self.latched_scores)
        if any(len(column) != len(self.seeds) for column in columns):
            raise ValueError("every episode must have a seed, a return, a score and a length")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("two episodes have the same seed")
        return self
