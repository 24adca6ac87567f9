from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionCost:
    """What choosing actions has cost, independent of the machine.

    Attributes:
        flops: Floating-point operations a decision of one environment, the mean over all decisions: matrix products
            and convolutions, two for each multiply-add. Steps that follow a plan made earlier are decisions that cost
            nothing.
        plannings: Times that plans were drawn.
    """

    flops: float
    plannings: int
