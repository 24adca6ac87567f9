"""What a decision costs, counted in operations."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class DecisionCost:
    """What choosing actions has cost, independent of the machine.

    Attributes:
        flops: Floating-point operations for one decision of one environment, the mean over all decisions: matrix
            products and convolutions, two for each multiply-add. A decision that follows a plan made earlier costs
            nothing.
        plannings: Times that plans were drawn.
    """

    flops: float
    plannings: int


class CostCounter:
    """Adds up the cost of a planner's decisions.

    Counting slows planning down, so each kind of planning is counted once and assumed to cost the same afterwards.
    """

    def __init__(self) -> None:
        self._flops: dict[Hashable, float] = {}
        self.reset()

    def reset(self) -> None:
        """Begins new episodes. What the kinds of planning cost stays known."""
        self._total_flops = 0.0
        self._num_decisions = self._num_plannings = 0

    @contextmanager
    def counting(self, kind: Hashable, num_envs: int) -> Iterator[None]:
        """Counts the operations of the block, if no block of its kind has been counted.

        Args:
            kind: Blocks of one kind cost the same for each environment.
            num_envs: Environments that the block plans for.
        """
        if kind in self._flops:
            yield
            return
        with FlopCounter() as counter:
            yield
        self._flops[kind] = counter.total / num_envs

    def planned(self, kind: Hashable, num_envs: int) -> None:
        """Notes that plans of a kind that has been counted were drawn for some environments."""
        self._num_plannings += 1
        self._total_flops += self._flops[kind] * num_envs

    def decided(self, num_envs: int) -> None:
        """Notes that actions of some environments were chosen."""
        self._num_decisions += num_envs

    def cost(self) -> DecisionCost | None:
        """Returns the mean cost of a decision; None before the first."""
        if not self._num_decisions:
            return None
        return DecisionCost(self._total_flops / self._num_decisions, self._num_plannings)


class FlopCounter(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions while it is entered.

    PyTorch's own ``FlopCounterMode`` counts by module, for which it hooks into the backward pass in a way that
    ``torch.autograd.grad`` refuses. The formulas here are PyTorch's.

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
