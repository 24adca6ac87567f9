from dataclasses import replace
from typing import Any

from torch import nn

from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import Network, for_planning


class FastNetworks:
    """Equal networks that cost fewer multiplications, made when first asked for and again when anything changed.

    Reference: ``for_planning``, which says what they are.
    """

    def __init__(self) -> None:
        # What it was made of, the network, and the parameters: kept, so that no others come to lie in their place.
        self._made: dict[type[nn.Module], tuple[list[Any], nn.Module, list[nn.Parameter]]] = {}

    def of_pair(
        self, model: TrajectoryModel, critic: TrajectoryCritic | None, horizon: int, batch: int
    ) -> tuple[TrajectoryModel, TrajectoryCritic | None]:
        """Returns model and critic on cheap networks; arguments as in ``of``."""
        fast = replace(model, backbone=self.of(model.backbone, horizon, batch))
        if critic is None:
            return fast, None
        return fast, replace(critic, backbone=self.of(critic.backbone, horizon, batch))

    def of(self, network: Network, horizon: int, batch: int) -> Network:
        """Returns a network's cheap equal.

        Args:
            network: The trained network.
            horizon: Rows of the plans.
            batch: Trajectories a call will hold.
        """
        parameters: list[nn.Parameter] = list(network.parameters())
        key = [horizon, batch, *((id(p), p.data_ptr(), p._version) for p in parameters)]
        if self._made.get(type(network), (None,))[0] != key:
            self._made[type(network)] = (key, for_planning(network, horizon, batch), parameters)
        return self._made[type(network)][1]  # type: ignore[return-value]
