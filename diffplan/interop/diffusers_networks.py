"""Converts our networks to diffusers' models and back. Both forms can share one set of weights."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet1DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_1d import UNet1DOutput
from torch import Tensor, nn

from diffplan.errors import CheckpointError
from diffplan.interop.diffusers_folder import plain_file, read_settings, read_weights
from diffplan.interop.network_layers import Kind, network_settings, parameter_names, translate
from diffplan.interop.plain_tensors import check_same_shapes
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.shapes import Features, Timesteps

# ``UNet1DModel`` has this width built in, except in the embedding and the output block.
_KERNEL_SIZE = 5
_BOTH = {
    "extra_in_channels": 0,
    "time_embedding_type": "positional",
    "use_timestep_embedding": True,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "act_fn": "mish",
}
# Settings of the ``UNet1DModel`` that computes what our networks compute.
_UNET: dict[Kind, dict[str, Any]] = {
    "denoiser": {
        **_BOTH,
        "mid_block_type": "MidResTemporalBlock1D",
        "out_block_type": "OutConv1DBlock",
        "downsample_each_block": False,
    },
    "critic": {
        **_BOTH,
        "mid_block_type": "ValueFunctionMidBlock1D",
        "out_block_type": "ValueFunction",
        "downsample_each_block": True,
    },
}
_DOWN, _UP = "DownResnetBlock1D", "UpResnetBlock1D"
# Attribute of a model that holds what our form of it was made of, and that form. It is not a submodule, so the model is
# saved without it.
_FORM = "_diffplan_form"
_LONGEST, _MOST_ROWS = 100, 1_000_000
_DEFAULTS = inspect.signature(UNet1DModel.__init__).parameters


class AbstractNetworkModel(ModelMixin, ConfigMixin):
    """A network of ours with the same way of saving and calling as diffusers' ``UNet1DModel``."""

    network: nn.Module

    def forward(self, sample: Features, timestep: Timesteps, return_dict: bool = True) -> UNet1DOutput | tuple:
        """Gives the network's output, with columns before rows as diffusers has them; a value is one column."""
        output = self.network(sample.transpose(1, 2), timestep)
        output = output[:, None] if output.ndim == 1 else output.transpose(1, 2)
        return UNet1DOutput(sample=output) if return_dict else (output,)


class DenoiserModel(AbstractNetworkModel):
    """A denoiser that diffusers' ``UNet1DModel`` cannot express; for the arguments see ``TemporalUnet``."""

    @register_to_config
    def __init__(
        self, transition_dim: int, dim: int, dim_multipliers: Sequence[int], attention: bool, kernel_size: int
    ) -> None:
        super().__init__()
        self.network = TemporalUnet(transition_dim, dim, dim_multipliers, attention, kernel_size)


class CriticModel(AbstractNetworkModel):
    """A critic that diffusers' ``UNet1DModel`` cannot express; for the arguments see ``ValueUnet``."""

    @register_to_config
    def __init__(
        self, transition_dim: int, horizon: int, dim: int, dim_multipliers: Sequence[int], kernel_size: int
    ) -> None:
        super().__init__()
        self.network = ValueUnet(transition_dim, horizon, dim, dim_multipliers, kernel_size)


def denoiser_model(network: AbstractBackbone, horizon: int) -> UNet1DModel | DenoiserModel:
    """Returns a denoiser with equal weights that diffusers can save: a ``UNet1DModel`` wherever that is possible.

    Args:
        network: The trained network.
        horizon: Rows of a plan, for the record.

    Raises:
        CheckpointError: The network is of another class than ``TemporalUnet``.
    """
    if not isinstance(network, TemporalUnet):
        raise CheckpointError(f"a {type(network).__name__} cannot be exported; only temporal_unet can.")
    return _diffusers_form(network, network.state_dict(), horizon)


def critic_model(network: ValueUnet, offset: Tensor, scale: Tensor) -> UNet1DModel | CriticModel:
    """Returns a critic that gives values in units of reward and that diffusers can save.

    Args:
        network: The trained network.
        offset: Return at the network's output 0. Offset and scale go into the last layer.
        scale: Returns per unit of the network's output.
    """
    weights = dict(network.state_dict())
    weights["head.2.weight"] = weights["head.2.weight"] * scale
    weights["head.2.bias"] = weights["head.2.bias"] * scale + offset
    return _diffusers_form(network, weights, network.horizon)


def load_network(folder: Path, part: str) -> UNet1DModel | DenoiserModel | CriticModel:
    """Loads a network of a pipeline's folder; its sizes are those of its weights, and its file must say the same.

    Args:
        folder: Folder of the pipeline.
        part: Name of the network in it, ``unet`` or ``value_function``.

    Raises:
        CheckpointError: The network cannot be read, or is none that a pipeline here plans with.
    """
    kind: Kind = "denoiser" if part == "unet" else "critic"
    path = plain_file(folder, f"{part}/config.json")
    config, weights = read_settings(path), read_weights(folder, part)
    form, settings = described_network(config, weights, kind, path)
    try:
        with torch.device("meta"):
            wanted = form(**settings).state_dict()
    except ValueError as error:  # From PyTorch, for widths that its layers cannot have.
        raise CheckpointError(f"the weights in {path.parent} fit no {kind}: {error}.") from error
    check_same_shapes(wanted, weights, path.parent, kind)
    # The first weights are drawn and then replaced. That must not move PyTorch's random numbers.
    with torch.random.fork_rng(devices=[]):
        model = form(**settings)
    model.load_state_dict(weights)
    return model.eval()


def described_network(config: Mapping[str, Any], weights: Mapping[str, Tensor], kind: Kind, path: Path) -> Any:
    """Finds the class and the arguments of a network that a folder holds.

    Args:
        config: Settings that its file gives.
        weights: By the names in the folder.
        kind: Which network it must be.
        path: The file of settings, for messages.

    Returns:
        The class, and the arguments of its constructor.

    Raises:
        CheckpointError: The class is none of a network here, or file and weights say different things.
    """
    name, own = config.get("_class_name"), DenoiserModel if kind == "denoiser" else CriticModel
    if name not in ("UNet1DModel", own.__name__):
        raise CheckpointError(f"{path.parent} is a {name!s:.{_LONGEST}}; known are UNet1DModel, {own.__name__}.")
    if name == "UNet1DModel":
        check_config(config, kind)
        sizes = network_settings(translate(weights, kind, "diffusers", path.parent), kind)
        settings = _unet_settings(sizes, kind, _rows(config, "sample_size", path))
        form: Any = UNet1DModel
    else:
        horizon = _rows(config, "horizon", path) if kind == "critic" else None
        form, settings = own, network_settings(own_names(weights), kind, horizon)
    for key, value in settings.items():
        said = config.get(key, _DEFAULTS[key].default if form is UNet1DModel else None)
        # JSON has no tuples, and no number is a truth value.
        said = tuple(said) if isinstance(value, tuple) and isinstance(said, list) else said
        if said != value or isinstance(said, bool) != isinstance(value, bool):
            raise CheckpointError(f"{path} says {key}={said!s:.{_LONGEST}}, but the weights are of {value}.")
    return form, settings


def _rows(config: Mapping[str, Any], key: str, path: Path) -> int:
    rows = config.get(key, _DEFAULTS["sample_size"].default)
    if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= _MOST_ROWS:
        raise CheckpointError(f"{path} says {key}={rows!s:.{_LONGEST}}, but it must be a number of rows of a plan.")
    return rows


def own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of a ``DenoiserModel`` or ``CriticModel`` by the names of its network."""
    return {name.removeprefix("network."): value for name, value in weights.items()}


def why_no_unet(network: TemporalUnet | ValueUnet) -> str | None:
    """Returns what ``UNet1DModel`` cannot express of a network; None if it can express it."""
    kind: Kind = "denoiser" if isinstance(network, TemporalUnet) else "critic"
    settings = network_settings(network.state_dict(), kind)
    num_levels, width = len(settings["dim_multipliers"]), settings["kernel_size"]
    if isinstance(network, ValueUnet):
        largest = 2 ** (num_levels + 2)
        if network.horizon > largest:
            return f"the critic judges {network.horizon} rows, and UNet1DModel's head takes at most {largest}"
    elif settings["attention"]:
        return "the denoiser has attention, which UNet1DModel has not"
    elif num_levels < 2:
        return "the denoiser has a single level, and UNet1DModel needs two"
    if width != _KERNEL_SIZE:
        return f"the {kind} has convolutions of width {width}, and UNet1DModel's are {_KERNEL_SIZE}"
    return None


def backbone_of(model: ModelMixin) -> TemporalUnet:
    """Returns our form of a denoiser. It uses the model's own weights; nothing is copied.

    Raises:
        CheckpointError: The model is configured in a way that our network does not compute.
    """
    if isinstance(model, DenoiserModel):
        return model.network
    return _sharing(TemporalUnet, model, "denoiser")


def critic_backbone_of(model: ModelMixin, horizon: int) -> ValueUnet:
    """Returns our form of a critic. It uses the model's own weights; nothing is copied.

    Args:
        model: The critic.
        horizon: Rows of the plans it judges.

    Raises:
        CheckpointError: The model is configured in a way that our network does not compute, or made for another
            horizon.
    """
    if isinstance(model, CriticModel):
        model.network.check_horizon(horizon)
        return model.network
    return _sharing(ValueUnet, model, "critic", horizon)


def check_config(config: Mapping[str, Any], kind: Kind) -> None:
    """Refuses a ``UNet1DModel`` that does not compute what our network of a kind does.

    Raises:
        CheckpointError: The message names the setting.
    """
    for key, value in _UNET[kind].items():
        # Old files lack some settings, which then have diffusers' defaults.
        given = config.get(key, _DEFAULTS[key].default)
        if given != value:
            raise CheckpointError(f"the {kind} has {key}={given!r:.{_LONGEST}}, but it must be {value!r} here.")
    for key, known in (("down_block_types", [_DOWN]), ("up_block_types", [_UP] if kind == "denoiser" else [])):
        blocks = config.get(key) or ()
        foreign = [repr(b) for b in (blocks if isinstance(blocks, list | tuple) else [blocks]) if b not in known]
        if foreign:
            raise CheckpointError(f"the {kind} has {key} with {min(foreign):.{_LONGEST}}, which no network here has.")


def _diffusers_form(network: TemporalUnet | ValueUnet, weights: Mapping[str, Tensor], horizon: int) -> Any:
    """Builds the model that diffusers saves, with the given weights of a network of ours."""
    kind: Kind = "denoiser" if isinstance(network, TemporalUnet) else "critic"
    settings = network_settings(weights, kind, horizon)
    model: Any
    if why_no_unet(network) is not None:
        model = (DenoiserModel if kind == "denoiser" else CriticModel)(**settings)
        model.network.load_state_dict(weights)
        return model.eval()
    model = UNet1DModel(**_unet_settings(settings, kind, horizon))
    names = parameter_names(kind, len(settings["dim_multipliers"]), "diffusers")
    model.load_state_dict({theirs: weights[ours] for theirs, ours in names.items() if ours in weights})
    return model.eval()


def _unet_settings(sizes: Mapping[str, Any], kind: Kind, horizon: int | None) -> dict[str, Any]:
    """Returns the arguments of the ``UNet1DModel`` that computes what a network of ours with these sizes does."""
    widths = tuple(sizes["dim"] * multiplier for multiplier in sizes["dim_multipliers"])
    count, columns = len(widths), sizes["transition_dim"]
    return {
        **_UNET[kind], "sample_size": horizon, "in_channels": columns, "out_channels": columns,
        "block_out_channels": widths, "down_block_types": (_DOWN,) * count,
        "up_block_types": (_UP,) * (count - 1) if kind == "denoiser" else (),
    }  # fmt: skip


def _sharing(form: type, model: Any, kind: Kind, horizon: int | None = None) -> Any:
    """Returns a network of ours that uses the model's parameters; the same network as long as these do not change."""
    if not isinstance(model, UNet1DModel):
        raise CheckpointError(f"the {kind} must be a UNet1DModel or one of ours, got {type(model).__name__}.")
    check_config(model.config, kind)
    parameters = translate(dict(model.named_parameters()), kind, "diffusers", "the model")
    settings, own = network_settings(parameters, kind, horizon), list(model.parameters())
    network: Any
    known_settings, known, network = vars(model).get(_FORM, (None, [], None))
    if known_settings != settings or len(known) != len(own) or any(a is not b for a, b in zip(known, own, strict=True)):
        # The first weights are drawn and then replaced. That must not move PyTorch's random numbers.
        with torch.random.fork_rng(devices=[]):
            network = form(**settings)
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        if shapes != {name: value.shape for name, value in parameters.items()}:
            if kind == "denoiser":
                raise CheckpointError("the denoiser has weights of other shapes than a network here.")
            raise CheckpointError(
                f"the critic cannot judge plans of {horizon} rows; its head was made for shorter ones."
            )
        network.requires_grad_(own[0].requires_grad)
        network.load_state_dict(parameters, assign=True)
        vars(model)[_FORM] = (settings, own, network)
    return network.to(own[0].device).train(model.training)
