from dataclasses import dataclass


@dataclass(frozen=True)
class RunCost:
    """What a run costs from its beginning to its end, and how much of that is behind it.

    Attributes:
        flops: Floating-point operations of matrix products and convolutions, two for each multiply-add.
        seconds: Processor seconds on a CPU, wall-clock seconds on a GPU.
        device: ``cpu`` or ``cuda``.
        is_measured: Whether ``seconds`` comes from finished runs; otherwise from a few steps timed on this machine.
        progress: What is done, for instance ``step 500 of 5000``; empty before the start.
        share_left: Part of the cost that is still to come, 0 to 1.
    """

    flops: float
    seconds: float
    device: str
    is_measured: bool
    progress: str = ""
    share_left: float = 1.0
