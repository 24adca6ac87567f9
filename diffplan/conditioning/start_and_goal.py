from diffplan.conditioning.base import AbstractConditioning


class StartAndGoal(AbstractConditioning):
    """The plan starts at the current observation and ends at the goal.

    Reference: Diffuser, section 3.3 (planning as inpainting) and 5.1 (Maze2D).
    """

    def rows(self, horizon: int) -> list[int]:
        """The first and the last row."""
        return [0, horizon - 1]
