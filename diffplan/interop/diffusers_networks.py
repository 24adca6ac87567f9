"""Converts our networks to diffusers' models and back. Both forms can share one set of weights."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from diffusers import ConfigMixin, ModelMixin, UNet1DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_1d import UNet1DOutput
from einops import rearrange
from torch import Tensor, nn

from diffplan.errors import CheckpointError
from diffplan.interop.layer_names import critic_layers, denoiser_layers, translate
from diffplan.interop.network_shape import critic_settings, denoiser_settings
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.shapes import Features, Timesteps

Kind = Literal["denoiser", "critic"]

# ``UNet1DModel`` has this width built in, except in the embedding and the output block.
_KERNEL_SIZE = 5
_UNET = {
    "extra_in_channels": 0,
    "time_embedding_type": "positional",
    "use_timestep_embedding": True,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "act_fn": "mish",
}
_DENOISER = {"mid_block_type": "MidResTemporalBlock1D", "out_block_type": "OutConv1DBlock"}
_CRITIC = {"mid_block_type": "ValueFunctionMidBlock1D", "out_block_type": "ValueFunction"}

# Attribute of a model that holds what our form of it was made of, and that form. It is not a submodule, so the model is
# saved without it.
_FORM = "_diffplan_form"
_DEFAULTS = inspect.signature(UNet1DModel.__init__).parameters


class DenoiserModel(ModelMixin, ConfigMixin):
    """A denoiser that diffusers' ``UNet1DModel`` cannot express, with the same way of saving and calling.

    Args:
        transition_dim: Columns of a plan row.
        dim: Base width.
        dim_multipliers: Width of each level in units of ``dim``.
        attention: Adds linear attention after each level's residual blocks.
        kernel_size: Width of the residual convolutions in plan rows.
    """

    @register_to_config
    def __init__(
        self, transition_dim: int, dim: int, dim_multipliers: Sequence[int], attention: bool, kernel_size: int
    ) -> None:
        super().__init__()
        self.network = TemporalUnet(transition_dim, dim, dim_multipliers, attention, kernel_size)

    def forward(self, sample: Features, timestep: Timesteps, return_dict: bool = True) -> UNet1DOutput | tuple:
        """Predicts shape for shape, with columns before rows as diffusers has them."""
        output = self.network(rearrange(sample, "batch column row -> batch row column"), timestep)
        output = rearrange(output, "batch row column -> batch column row")
        return UNet1DOutput(sample=output) if return_dict else (output,)


class CriticModel(ModelMixin, ConfigMixin):
    """A critic that diffusers' ``UNet1DModel`` cannot express, with the same way of saving and calling.

    Args:
        transition_dim: Columns of a plan row.
        horizon: Plan rows.
        dim: Base width.
        dim_multipliers: Width of each level in units of ``dim``.
        kernel_size: Width of the residual convolutions in plan rows.
    """

    @register_to_config
    def __init__(
        self, transition_dim: int, horizon: int, dim: int, dim_multipliers: Sequence[int], kernel_size: int
    ) -> None:
        super().__init__()
        self.network = ValueUnet(transition_dim, horizon, dim, dim_multipliers, kernel_size)

    def forward(self, sample: Features, timestep: Timesteps, return_dict: bool = True) -> UNet1DOutput | tuple:
        """Predicts one value a trajectory, given with columns before rows as diffusers has them."""
        values = self.network(rearrange(sample, "batch column row -> batch row column"), timestep)
        values = rearrange(values, "batch -> batch 1")
        return UNet1DOutput(sample=values) if return_dict else (values,)


class _ShapeError(Exception):
    """Weights of another shape than the network's."""


def denoiser_model(network: AbstractBackbone, horizon: int) -> UNet1DModel | DenoiserModel:
    """Returns a denoiser with equal weights that diffusers can save: a ``UNet1DModel`` wherever that is possible.

    Args:
        network: The trained network.
        horizon: Rows of a plan, for the record.

    Raises:
        CheckpointError: the network is of another class than ``TemporalUnet``.
    """
    if not isinstance(network, TemporalUnet):
        raise CheckpointError(f"a {type(network).__name__} cannot be exported; only temporal_unet can.")
    settings = denoiser_settings(network.state_dict())
    if why_no_unet(network) is not None:
        model = DenoiserModel(**settings)
        model.network.load_state_dict(network.state_dict())
        return model.eval()
    widths = [settings["dim"] * multiplier for multiplier in settings["dim_multipliers"]]
    count, columns = len(widths), settings["transition_dim"]
    model = UNet1DModel(
        **_UNET, **_DENOISER, sample_size=horizon, in_channels=columns, out_channels=columns,
        down_block_types=("DownResnetBlock1D",) * count, up_block_types=("UpResnetBlock1D",) * (count - 1),
        block_out_channels=tuple(widths), downsample_each_block=False,
    )  # fmt: skip
    _copy(network.state_dict(), model, denoiser_layers(count))
    return model.eval()


def critic_model(network: ValueUnet, offset: Tensor, scale: Tensor) -> UNet1DModel | CriticModel:
    """Returns a critic that gives values in units of reward and that diffusers can save.

    Args:
        network: The trained network.
        offset: Return at the network's output 0; goes into the last layer, as does the next.
        scale: Returns per unit of the network's output.
    """
    weights = dict(network.state_dict())
    weights["head.2.weight"] = weights["head.2.weight"] * scale
    weights["head.2.bias"] = weights["head.2.bias"] * scale + offset
    settings = critic_settings(weights, network.horizon)
    if why_no_unet(network) is not None:
        model = CriticModel(**settings)
        model.network.load_state_dict(weights)
        return model.eval()
    widths = [settings["dim"] * multiplier for multiplier in settings["dim_multipliers"]]
    columns = settings["transition_dim"]
    model = UNet1DModel(
        **_UNET, **_CRITIC, sample_size=network.horizon, in_channels=columns, out_channels=columns,
        down_block_types=("DownResnetBlock1D",) * len(widths), up_block_types=(),
        block_out_channels=tuple(widths), downsample_each_block=True,
    )  # fmt: skip
    _copy(weights, model, critic_layers(len(widths)))
    return model.eval()


def why_no_unet(network: TemporalUnet | ValueUnet) -> str | None:
    """Returns what ``UNet1DModel`` cannot express of a network; None if it can express it."""
    if isinstance(network, TemporalUnet):
        settings = denoiser_settings(network.state_dict())
        if settings["attention"]:
            return "the denoiser has attention, which UNet1DModel has not"
        if len(settings["dim_multipliers"]) < 2:
            return "the denoiser has a single level, and UNet1DModel needs two"
    else:
        settings = critic_settings(network.state_dict(), network.horizon)
        largest = 2 ** (len(settings["dim_multipliers"]) + 2)
        if network.horizon > largest:
            return f"the critic judges {network.horizon} rows, and UNet1DModel's head takes at most {largest}"
    what = "denoiser" if isinstance(network, TemporalUnet) else "critic"
    if settings["kernel_size"] != _KERNEL_SIZE:
        return f"the {what} has convolutions of width {settings['kernel_size']}, and UNet1DModel's are {_KERNEL_SIZE}"
    return None


def backbone_of(model: ModelMixin) -> TemporalUnet:
    """Returns our form of a denoiser. It uses the model's own weights; nothing is copied.

    Raises:
        CheckpointError: it is configured in a way that our network does not compute.
    """
    if isinstance(model, DenoiserModel):
        return model.network
    _check_class(model, "denoiser")
    check_config(model.config, "denoiser")
    weights = _ours(model, denoiser_layers(len(model.config.down_block_types)))
    return _sharing(TemporalUnet, denoiser_settings(weights), weights, model)


def critic_backbone_of(model: ModelMixin, horizon: int) -> ValueUnet:
    """Returns our form of a critic. It uses the model's own weights; nothing is copied.

    Args:
        model: The critic.
        horizon: Rows of the plans it judges.

    Raises:
        CheckpointError: it is configured in a way that our network does not compute, or made for another horizon.
    """
    if isinstance(model, CriticModel):
        model.network.check_horizon(horizon)
        return model.network
    _check_class(model, "critic")
    check_config(model.config, "critic")
    weights = _ours(model, critic_layers(len(model.config.down_block_types)))
    try:
        return _sharing(ValueUnet, critic_settings(weights, horizon), weights, model)
    except _ShapeError:
        raise CheckpointError(
            f"the critic cannot judge plans of {horizon} rows; its head was made for shorter ones."
        ) from None


def check_config(config: Mapping[str, Any], what: Kind) -> None:
    """Refuses a ``UNet1DModel`` that does not compute what our network of a kind does.

    Raises:
        CheckpointError: naming the setting.
    """
    wanted = {**_UNET, **_DENOISER} if what == "denoiser" else {**_UNET, **_CRITIC, "downsample_each_block": True}
    for key, value in wanted.items():
        # Old files lack some settings, which then have diffusers' defaults.
        given = config.get(key, _DEFAULTS[key].default)
        if given != value:
            raise CheckpointError(f"the {what} has {key}={given!r}, but it must be {value!r} here.")
    blocks = (("down_block_types", "DownResnetBlock1D"), ("up_block_types", "UpResnetBlock1D"))
    for key, block in blocks if what == "denoiser" else (blocks[0], ("up_block_types", None)):
        if foreign := set(config.get(key) or ()) - {block}:
            raise CheckpointError(f"the {what} has {key} with {min(foreign)!r}, which no network here has.")


def _check_class(model: ModelMixin, what: str) -> None:
    if not isinstance(model, UNet1DModel):
        raise CheckpointError(f"the {what} must be a UNet1DModel or one of ours, got {type(model).__name__}.")


def _ours(model: nn.Module, layers: list) -> dict[str, Tensor]:
    try:
        return translate(dict(model.named_parameters()), layers, "diffusers")
    except KeyError as error:
        raise CheckpointError(f"the networks here have no layer for {error}.") from error


def _sharing(kind: type, settings: dict[str, Any], parameters: Mapping[str, Tensor], model: nn.Module) -> Any:
    """Returns a network of ours that uses the model's parameters; the same network as long as these do not change."""
    own = list(model.parameters())
    network: Any
    known_settings, known, network = vars(model).get(_FORM, (None, [], None))
    if known_settings != settings or len(known) != len(own) or any(a is not b for a, b in zip(known, own, strict=True)):
        # The first weights are drawn and then replaced. That must not move PyTorch's random numbers.
        with torch.random.fork_rng(devices=[]):
            network = kind(**settings)
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        if shapes != {name: value.shape for name, value in parameters.items()}:
            raise _ShapeError
        network.requires_grad_(own[0].requires_grad)
        network.load_state_dict(dict(parameters), assign=True)
        vars(model)[_FORM] = (settings, own, network)
    return network.to(own[0].device).train(model.training)


@torch.no_grad()
def _copy(weights: Mapping[str, Tensor], model: nn.Module, layers: list) -> None:
    theirs = dict(model.named_parameters())
    names = {ours: name for name in theirs for ours in translate({name: theirs[name]}, layers, "diffusers")}
    model.load_state_dict({names[ours]: value for ours, value in weights.items()})
