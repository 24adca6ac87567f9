"""What was imagined beside what happened, as rendered states."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from diffplan.env.render import StateRenderer
from diffplan.env.rollout import Rollout
from diffplan.env.watched_planner import ImaginedMoment

_INK, _MUTED, _PLAN, _DONE, _OVER = "#22262e", "#6b7280", "#3468c0", "#ef8a2b", "#f0f0ec"
_COLUMNS = 8
# All in inches: sides of a picture, and what its caption, the gap between two decisions and the labels add.
_SIDE, _CAPTION, _BREAK, _LABELS = 1.36, 0.22, 0.3, 0.75


def imagined_figure(renderer: StateRenderer, rollout: Rollout, moments: Sequence[ImaginedMoment]) -> Figure:
    """Draws two rows a decision, the imagined states above those that followed.

    The place along the track is not in an observation: it is summed up from the velocities, on both sides alike, and
    counted from where the body was at the decision.

    Args:
        renderer: Draws states of the rollout's environment.
        rollout: The episodes.
        moments: Decisions to show, at least one.
    """
    rows = len(moments[0].plan)
    shown = np.unique(np.linspace(0, rows - 1, min(_COLUMNS, rows)).round().astype(int))
    size = (_LABELS + _SIDE * len(shown), (2 * (_SIDE + _CAPTION) + _BREAK) * len(moments))
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout=layout)
    for part, moment in zip(figure.subfigures(len(moments), squeeze=False).flat, moments, strict=True):
        imagined, happened = part.subplots(2, len(shown), squeeze=False)
        _draw_row(imagined, renderer, moment.plan.astype(np.float64), shown, _PLAN)
        _draw_row(happened, renderer, observations_that_followed(rollout, moment), shown, _DONE)
        imagined[0].set_ylabel("imagined", fontsize=10, color=_PLAN)
        happened[0].set_ylabel("happened", fontsize=10, color=_DONE)
        part.supylabel(f"seed {rollout.seeds[moment.env]}, step {moment.step}", fontsize=10, color=_INK)
        for ax, row in zip(imagined, shown, strict=True):
            ahead = "now" if row == 0 else f"+{row} step{'s' if row > 1 else ''}"
            ax.set_title(ahead, fontsize=10, color=_MUTED, pad=4)
    return figure


def observations_that_followed(rollout: Rollout, moment: ImaginedMoment) -> Float64[np.ndarray, "row observation"]:
    """The observations at the steps a plan speaks of; NaN after the end of the episode.

    Args:
        rollout: The episodes.
        moment: Decision of one of them.
    """
    steps = moment.step + np.arange(len(moment.plan))
    observations = rollout.observations[moment.env]
    followed = np.full((len(steps), observations.shape[1]), np.nan)
    known = steps < len(observations)
    followed[known] = observations[steps[known]]
    return followed


def _draw_row(
    axes: np.ndarray,
    renderer: StateRenderer,
    observations: Float64[np.ndarray, "row observation"],
    shown: np.ndarray,
    colour: str,
) -> None:
    places = renderer.places(observations)
    for ax, row in zip(axes, shown, strict=True):
        ax.set(xticks=[], yticks=[], facecolor=_OVER)
        for spine in ax.spines.values():
            spine.set(color=colour, linewidth=1.4)
        if np.isfinite(observations[row]).all():
            ax.imshow(renderer.picture(observations[row], float(places[row])), aspect="auto")
            ax.set_xlabel(f"{places[row]:+.2f} m", fontsize=8, color=_MUTED, labelpad=2)
        else:
            ax.text(0.5, 0.5, "episode\nover", ha="center", va="center", color=_MUTED, transform=ax.transAxes)
