"""What a decision costs, counted in operations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


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


class FlopCounter(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions while it is entered.

    PyTorch's own ``FlopCounterMode`` keeps account by module, for which it hooks into the backward pass in a way that
    ``torch.autograd.grad`` refuses; the formulas here are its own.

    Attributes:
        total: Operations so far, two for each multiply-add.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        result = func(*args, **kwargs)
        formula: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result
