"""The check of guidance: cells with and without a guide on equal seeds, what they differ by, and the verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import pandas as pd

from diffplan.env.score import PairedDifference
from diffplan.report.cell import AbstractCell


class GuidanceCell(AbstractCell):
    """The episodes played with one guide scale and one number of candidates.

    Attributes:
        scale: The guide's; 0 only chooses among candidates, and None plans without a guide.
        candidates: Plans drawn for each decision.
        lengths: Steps of each episode.
        terminated: Whether each episode ended in a terminal state, such as a fall.
        decision_gflop: Operations for one decision of one environment, in 1e9; None if they are not counted.
        decision_cpu_seconds: Processor time for one decision of one environment.
        has_data: Whether the data that the model was trained on was there.
        drift: Mean distance of executed plans to the nearest window of the data, see ``DataDistance``; None without
            the data.
        data_drift: The same distance of windows from episodes that are held back; None without the data.
        value_mean: Mean value that the critic promised of the executed plans; None without a critic.
        return_mean: Mean discounted return that followed; None without a critic.
        value_correlation: Correlation of the two over all decisions; None if one of them does not vary.
    """

    scale: float | None
    candidates: int
    lengths: list[int]
    terminated: list[bool]
    decision_gflop: float | None
    decision_cpu_seconds: float
    has_data: bool
    drift: float | None
    data_drift: float | None
    value_mean: float | None
    return_mean: float | None
    value_correlation: float | None

    @property
    def name(self) -> str:
        return cell_name(self.scale, self.candidates)

    @property
    def falls(self) -> float:
        """Share of the episodes that ended in a terminal state."""
        return sum(self.terminated) / len(self.terminated)

    @property
    def words(self) -> str:
        """The cell in a sentence."""
        if self.scale is None:
            return "no guide"
        return f"{self.candidates} candidate{'s' * (self.candidates != 1)} at scale {self.scale:g}"


def cell_name(scale: float | None, candidates: int) -> str:
    """Names a cell among those of its protocol."""
    return "no_guide" if scale is None else f"scale{scale:g}-candidates{candidates}"


# A guide scale and a number of candidates.
Choice = tuple[float, int]


class Verdict(Enum):
    """What the episodes say of guidance."""

    HELPS = "guidance scores more than no guide"
    HARMS = "guidance scores less than no guide"
    CANNOT_TELL = "the episodes are too few to tell"


@dataclass(frozen=True)
class Judgement:
    """The verdict on guidance, and the cell that it rests on.

    Attributes:
        verdict: What the episodes say.
        sentence: The verdict with its numbers, for people.
    """

    verdict: Verdict
    sentence: str


def unguided(cells: Sequence[GuidanceCell]) -> GuidanceCell | None:
    """Returns the cell without a guide; None if there is none."""
    return next((cell for cell in cells if cell.scale is None), None)


def difference(cell: GuidanceCell, reference: GuidanceCell, num_comparisons: int = 1) -> PairedDifference:
    """Compares a cell with the one without a guide, episode by episode."""
    return PairedDifference.of(cell.scores, reference.scores, num_comparisons)


def judge(cells: Sequence[GuidanceCell], own: Choice) -> Judgement:
    """Says whether guidance helps, harms, or cannot be told from no guide.

    The planner's own setting is judged by its 95 % interval. The best of all settings was chosen after looking at the
    scores, so its interval is widened until the intervals of all settings hold together in 95 % of cases.

    Args:
        cells: Of one protocol, with equal seeds.
        own: What the planner is set to.
    """
    reference, guided = unguided(cells), [cell for cell in cells if cell.scale is not None]
    if reference is None or not guided:
        return Judgement(Verdict.CANNOT_TELL, "Guidance was not compared, because one of its sides was not played.")
    best = max(guided, key=lambda cell: cell.mean)
    by_best = difference(best, reference, len(guided))
    best_gain = _gain(by_best, len(guided))
    judged = next((cell for cell in guided if (cell.scale, cell.candidates) == own), None)
    if judged is None:
        judged, by_judged, judged_gain = best, by_best, best_gain
    else:
        by_judged = difference(judged, reference)
        judged_gain = _gain(by_judged)
    scores = f"{judged.words} score{'s' * (judged.candidates == 1)} {judged.mean:.1f}"
    compared = f"{scores}, no guide {reference.mean:.1f} ({judged_gain})"
    if by_judged.low > 0:
        return Judgement(Verdict.HELPS, f"Guidance helps: {compared}.")
    if by_judged.high < 0:
        remedy = f"{_setting(best)} helps ({best_gain})" if by_best.low > 0 else "use guide=no_guide"
        return Judgement(Verdict.HARMS, f"Guidance harms: {compared}; {remedy}.")
    if by_best.low > 0:
        sentence = f"Guidance helps with {_setting(best)}: {best.mean:.1f}, no guide {reference.mean:.1f} ({best_gain})"
        return Judgement(Verdict.HELPS, f"{sentence}; as the planner is set, {scores} ({judged_gain}).")
    count = len(judged.scores)
    return Judgement(
        Verdict.CANNOT_TELL,
        f"{_number(count)} episode{'s' * (count != 1)} cannot tell guidance ({judged.words}: {judged.mean:.1f}) from "
        f"no guide ({reference.mean:.1f}): {judged_gain}.",
    )


def guidance_table(cells: Sequence[GuidanceCell], own: Choice) -> pd.DataFrame:
    """Returns one row a cell. The columns ``gain``, ``gain_low`` and ``gain_high`` compare with no guide.

    Args:
        cells: All protocols.
        own: What the planner is set to.
    """
    rows = []
    for cell in cells:
        reference = unguided([other for other in cells if other.protocol == cell.protocol])
        gain = PairedDifference(math.nan, math.nan, math.nan)
        if reference is not None and cell.scale is not None:
            gain = difference(cell, reference)
        rows.append({
            "protocol": cell.protocol, "guide_scale": cell.scale, "candidates": cell.candidates,
            "is_own": (cell.scale, cell.candidates) == own,
            "episodes": len(cell.scores), "score_mean": cell.mean, "score_stderr": cell.standard_error,
            "gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high,
            "length_mean": sum(cell.lengths) / len(cell.lengths), "falls": cell.falls, "drift": cell.drift,
            "data_drift": cell.data_drift, "value_mean": cell.value_mean, "return_mean": cell.return_mean,
            "value_correlation": cell.value_correlation, "decision_gflop": cell.decision_gflop,
            "decision_cpu_seconds": cell.decision_cpu_seconds,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _gain(gain: PairedDifference, num_settings: int = 1) -> str:
    if not math.isfinite(gain.low):
        return f"{gain.mean:+.1f}, no interval"
    digits = 0 if gain.high - gain.low >= 10 else 1
    which = "95 % interval" if num_settings == 1 else f"95 % interval for the best of {num_settings} settings"
    return f"{gain.mean:+.1f}, {which} {gain.low:.{digits}f} to {gain.high:.{digits}f}"


def _setting(cell: GuidanceCell) -> str:
    return f"guide.scale={cell.scale:g} planner.num_candidates={cell.candidates}"


def _number(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[count] if count < len(words) else str(count)
