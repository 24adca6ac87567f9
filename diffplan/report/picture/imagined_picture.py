"""What was imagined beside what happened, as rendered states."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffplan.env.render import StateRenderer
from diffplan.env.rollout import Rollout
from diffplan.env.watched_planner import ImaginedMoment
from diffplan.report.picture.media_files import write_figure

_INK, _MUTED, _PLAN, _DONE, _OVER = "#22262e", "#6b7280", "#3468c0", "#ef8a2b", "#f0f0ec"
_COLUMNS = 8
# All in inches: sides of a picture, the room right of it, that below it for its caption, between two decisions, and
# along the edges for the labels.
_SIDE, _GAP, _CAPTION, _BREAK, _LEFT, _TOP, _EDGE = 1.3, 0.06, 0.22, 0.16, 0.85, 0.3, 0.08


def draw_imagined(renderer: StateRenderer, rollout: Rollout, moments: Sequence[ImaginedMoment], path: Path) -> None:
    """Draws what ``imagined_figure`` shows and writes a PNG file.

    Args:
        renderer: Draws states of the rollout's environment.
        rollout: The episodes.
        moments: Decisions to show, at least one.
        path: PNG file to write, in one piece.
    """
    write_figure(imagined_figure(renderer, rollout, moments), path)


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
    pair = 2 * (_SIDE + _CAPTION)
    width = _LEFT + len(shown) * (_SIDE + _GAP) - _GAP + _EDGE
    height = _TOP + len(moments) * (pair + _BREAK) - _BREAK + _EDGE
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    for number, moment in enumerate(moments):
        top = height - _TOP - number * (pair + _BREAK)
        imagined, happened = (
            _add_row(figure, len(shown), top - line * (_SIDE + _CAPTION) - _SIDE, width, height) for line in (0, 1)
        )
        _draw_row(imagined, renderer, moment.plan.astype(np.float64), shown, _PLAN)
        _draw_row(happened, renderer, observations_that_followed(rollout, moment), shown, _DONE)
        imagined[0].set_ylabel("imagined", fontsize=10, color=_PLAN)
        happened[0].set_ylabel("happened", fontsize=10, color=_DONE)
        middle = 1 - (height - top + pair / 2 - _CAPTION / 2) / height
        label = f"seed {rollout.seeds[moment.env]}, step {moment.step}"
        figure.text(0.22 / width, middle, label, fontsize=10, color=_INK, rotation=90, ha="center", va="center")
        if number == 0:
            for ax, row in zip(imagined, shown, strict=True):
                ax.set_title(
                    "now" if row == 0 else f"+{row} step{'s' if row > 1 else ''}", fontsize=10, color=_MUTED, pad=4
                )
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


def _add_row(figure: Figure, count: int, bottom: float, width: float, height: float) -> list[Axes]:
    """Places square pictures side by side; everything in inches."""
    lefts = [_LEFT + column * (_SIDE + _GAP) for column in range(count)]
    return [figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height)) for left in lefts]


def _draw_row(
    axes: Sequence[Axes],
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
