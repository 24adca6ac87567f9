"""Draws a maze from above in software, so it works on machines without any display or OpenGL."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from diffplan.env.maze2d.maze_layout import MazeLayout

_LONG_SIDE = 256
_OVERSAMPLING = 2
_FLOOR, _WALL = (246, 246, 243), (92, 99, 112)
_TARGET, _TRAIL, _BALL = (214, 69, 65), (147, 190, 232), (31, 96, 180)
_BALL_RADIUS, _TARGET_RADIUS = 0.1, 0.5


class MazePicture:
    """Top-down pictures of one maze: x points down and y to the right, as the maze is written in text.

    Both sides of a picture are multiples of 16, which video encoders ask for.
    """

    def __init__(self, layout: MazeLayout) -> None:
        rows, columns = layout.walls.shape
        scale = _LONG_SIDE / max(rows, columns)
        self.height, self.width = (16 * int(np.ceil(side * scale / 16)) for side in (rows, columns))
        self._scale = scale * _OVERSAMPLING
        x_min, x_max, y_min, y_max = layout.extent
        # The maze sits in the middle of the canvas.
        self._x_centre, self._y_centre = (x_min + x_max) / 2, (y_min + y_max) / 2
        self._floor = Image.new("RGB", (self.width * _OVERSAMPLING, self.height * _OVERSAMPLING), _WALL)
        draw = ImageDraw.Draw(self._floor)
        draw.rectangle((*self._pixel(x_min, y_min), *self._pixel(x_max, y_max)), fill=_FLOOR)
        for x0, y0, x1, y1 in layout.wall_rectangles():
            draw.rectangle((*self._pixel(x0, y0), *self._pixel(x1, y1)), fill=_WALL)

    def draw(
        self,
        position: Float[np.ndarray, "2"],
        target: Float[np.ndarray, "2"] | None = None,
        trail: Float[np.ndarray, "point 2"] | None = None,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws one frame.

        Args:
            position: Centre of the ball in metres.
            target: Centre of the target disc, drawn with its success radius of 0.5 m; None draws no target.
            trail: Where the ball has been, oldest first, in metres.

        Returns:
            An RGB picture.
        """
        image = self._floor.copy()
        draw = ImageDraw.Draw(image)
        if target is not None:
            self._circle(draw, target, _TARGET_RADIUS, outline=_TARGET, width=2 * _OVERSAMPLING)
            self._circle(draw, target, _BALL_RADIUS, fill=_TARGET)
        if trail is not None and len(trail) > 1:
            draw.line([self._pixel(float(x), float(y)) for x, y in trail], fill=_TRAIL, width=2 * _OVERSAMPLING)
        self._circle(draw, position, _BALL_RADIUS, fill=_BALL)
        return np.asarray(image.reduce(_OVERSAMPLING))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        """Column and row of a position on the oversampled canvas."""
        column = (y - self._y_centre) * self._scale + self._floor.width / 2
        row = (x - self._x_centre) * self._scale + self._floor.height / 2
        return column, row

    def _circle(
        self,
        draw: ImageDraw.ImageDraw,
        centre: Float[np.ndarray, "2"],
        radius: float,
        fill: tuple[int, int, int] | None = None,
        outline: tuple[int, int, int] | None = None,
        width: int = 1,
    ) -> None:
        column, row = self._pixel(float(centre[0]), float(centre[1]))
        reach = radius * self._scale
        box = (column - reach, row - reach, column + reach, row + reach)
        draw.ellipse(box, fill=fill, outline=outline, width=width)
