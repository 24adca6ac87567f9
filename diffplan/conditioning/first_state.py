from diffplan.conditioning.base import AbstractConditioning


class FirstState(AbstractConditioning):
    """The plan starts at the current observation.

    Reference: Diffuser, Algorithm 1, line 9.
    """

    def rows(self, horizon: int) -> list[int]:
        """The first row."""
        return [0]
