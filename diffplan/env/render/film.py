import logging
import math
from collections.abc import Sequence

import gymnasium
import numpy as np
from jaxtyping import UInt8

from diffplan.errors import RenderingError

logger = logging.getLogger(__name__)

_MAX_FRAMES = 150


class Film:
    """Pictures of running episodes, about 150 an episode at most, and closer together where all of them are short.

    It begins with twice as many pictures a step as the longest possible episode may have, and drops every other one
    when there are too many. Where pictures cannot be made (no OpenGL), nothing is filmed and one warning says why.

    Args:
        envs: All environments, each after its reset.
        render: Indices of those to film.
        limit: Most steps of an episode.
    """

    def __init__(self, envs: Sequence[gymnasium.Env], render: Sequence[int], limit: int) -> None:
        self.interval = math.ceil(math.ceil(limit / _MAX_FRAMES) / 2)
        self._envs = envs
        self._ended: set[int] = set()
        self._pictures: dict[int, list[tuple[int, UInt8[np.ndarray, "height width 3"]]]] = {}
        try:
            self._pictures = {index: [(0, envs[index].render())] for index in render}
        except RenderingError as error:
            logger.warning("Episodes are played without pictures: %s", error)

    @property
    def filmed(self) -> list[int]:
        """Indices of the environments that are filmed."""
        return list(self._pictures)

    def take(self, index: int, step: int, *, ended: bool) -> None:
        """Takes a picture of one environment where one is due; the last state of an episode always is.

        Args:
            index: The environment.
            step: Steps of its episode so far.
            ended: Whether that was the last.
        """
        if index in self._pictures and (step % self.interval == 0 or ended):
            self._pictures[index].append((step, self._envs[index].render()))
            if ended:
                self._ended.add(index)
            if len(self._pictures[index]) > _MAX_FRAMES + 1:
                self._thin()

    def frames(self) -> dict[int, UInt8[np.ndarray, "frame height width 3"]]:
        """The pictures of each filmed episode; the interval before the last one may be shorter."""
        return {index: np.stack([picture for _, picture in taken]) for index, taken in self._pictures.items()}

    def _thin(self) -> None:
        """Halves the rate of all episodes alike, so that they can be shown side by side."""
        self.interval *= 2
        for index, taken in self._pictures.items():
            last = taken[-1][0] if index in self._ended else 0
            self._pictures[index] = [pair for pair in taken if pair[0] % self.interval == 0 or pair[0] == last]
