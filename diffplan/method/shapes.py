"""Names of tensor axes and the tensor types that appear in many signatures.

batch       windows, or environments x candidates when planning
horizon     rows of a plan
transition  columns of a plan row, ``[action | observation]``
channel     features inside a network
env         environments stepped together
observation, action  columns in raw or normalised units, as the docstring says
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Trajectories = Float[Tensor, "batch horizon transition"]
TrajectoryMask = Bool[Tensor, "#batch horizon transition"]
Timesteps = Int[Tensor, " #batch"]
Features = Float[Tensor, "batch channel horizon"]
Embedding = Float[Tensor, "#batch embedding"]
