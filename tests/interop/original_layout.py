"""The original repository's networks as names and shapes alone; nothing here computes anything."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import nn

from diffplan.interop.network_layers import network_settings
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from tests.method.network.test_temporal_unet import filled_by_rule


class Convolution(nn.Module):
    def __init__(self, wide: int, kernel: int = 3, transposed: bool = False) -> None:
        super().__init__()
        kind = nn.ConvTranspose1d if transposed else nn.Conv1d
        self.conv = kind(wide, wide, 4 if transposed else kernel)


class Block(nn.Module):
    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv1d(narrow, wide, 5), nn.Identity(), nn.GroupNorm(8, wide))


class Residual(nn.Module):
    def __init__(self, narrow: int, wide: int, dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(narrow, wide), Block(wide, wide)])
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(dim, wide))
        self.residual_conv = nn.Conv1d(narrow, wide, 1) if narrow != wide else nn.Identity()


class Norm(nn.Module):
    def __init__(self, wide: int) -> None:
        super().__init__()
        self.g, self.b = nn.Parameter(torch.ones(1, wide, 1)), nn.Parameter(torch.zeros(1, wide, 1))


class Attention(nn.Module):
    def __init__(self, wide: int) -> None:
        super().__init__()
        inner = nn.Module()
        inner.to_qkv, inner.to_out = nn.Conv1d(wide, 384, 1, bias=False), nn.Conv1d(128, wide, 1)
        self.fn = nn.Module()
        self.fn.norm, self.fn.fn = Norm(wide), inner


class Denoiser(nn.Module):
    """``temporal.TemporalUnet`` of the main branch, or with ``maze`` of the maze2d branch."""

    def __init__(self, columns: int, dim: int, multipliers: tuple[int, ...], attention=False, maze=False) -> None:
        super().__init__()
        widths = [columns, *(dim * multiplier for multiplier in multipliers)]
        between = [] if maze else [nn.Identity()]

        def extra(wide: int) -> list[nn.Module]:
            return [Attention(wide)] if attention else between

        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, (narrow, wide) in enumerate(pairwise(widths)):
            last = level == len(multipliers) - 1
            blocks = [Residual(narrow, wide, dim), Residual(wide, wide, dim), *extra(wide)]
            self.downs.append(nn.ModuleList([*blocks, nn.Identity() if last else Convolution(wide)]))
        self.mid_block1, self.mid_block2 = Residual(wide, wide, dim), Residual(wide, wide, dim)
        self.mid_attn = Attention(wide) if attention else nn.Identity()
        for narrow, wide in reversed(list(pairwise(widths[1:]))):
            blocks = [Residual(2 * wide, narrow, dim), Residual(narrow, narrow, dim), *extra(narrow)]
            self.ups.append(nn.ModuleList([*blocks, Convolution(narrow, transposed=True)]))
        self.final_conv = nn.Sequential(Block(dim, dim), nn.Conv1d(dim, columns, 1))


class Value(nn.Module):
    """``temporal.ValueFunction`` of the main branch, for plans that are halved to one row."""

    def __init__(self, columns: int, dim: int, multipliers: tuple[int, ...]) -> None:
        super().__init__()
        widths = [columns, *(dim * multiplier for multiplier in multipliers)]
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))
        self.blocks = nn.ModuleList(
            nn.ModuleList([Residual(narrow, wide, dim), Residual(wide, wide, dim), Convolution(wide)])
            for narrow, wide in pairwise(widths)
        )
        half, quarter = widths[-1] // 2, widths[-1] // 4
        self.mid_block1, self.mid_down1 = Residual(widths[-1], half, dim), Convolution(half)
        self.mid_block2, self.mid_down2 = Residual(half, quarter, dim), Convolution(quarter)
        self.final_block = nn.Sequential(
            nn.Linear(quarter + dim, quarter // 2), nn.Identity(), nn.Linear(quarter // 2, 1)
        )


def write_state(path: Path, network: nn.Module, steps: int = 20, horizon: int | None = 32, step: int = 980_000) -> Path:
    """Writes ``state_<epoch>.pt``: averaged weights filled by the rule of the parity vectors, live ones all zero."""
    schedule = DDPMScheduler(num_train_timesteps=steps, beta_schedule="squaredcos_cap_v2")
    buffers = {"betas": schedule.betas, "alphas_cumprod": schedule.alphas_cumprod}
    if horizon is not None:
        buffers["loss_fn.weights"] = torch.ones(horizon, 14)
    filled_by_rule(network)
    for norm in (module for module in network.modules() if isinstance(module, Norm)):
        values = torch.as_tensor(np.random.RandomState(norm.g.numel()).standard_normal(norm.g.shape))
        norm.g.data.copy_(1.0 + 0.1 * values)
        norm.b.data.copy_(0.1 * values)
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    zeros = {name: torch.zeros_like(value) for name, value in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": step, "model": {**zeros, **buffers}, "ema": {**weights, **buffers}}, path)
    return path


def rebuild_denoiser(weights) -> TemporalUnet:
    """Builds the network that holds weights under our names."""
    network = TemporalUnet(**network_settings(weights, "denoiser"))
    network.load_state_dict(dict(weights))
    return network.eval()


def rebuild_critic(weights, horizon: int) -> ValueUnet:
    network = ValueUnet(**network_settings(weights, "critic", horizon))
    network.load_state_dict(dict(weights))
    return network.eval()
