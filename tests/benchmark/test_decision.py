"""What one guided planning decision costs, beside diffusers' value-guided pipeline. Never pass or fail.

Run with ``make benchmark``, which leaves the shape checks out. The same networks on both sides, in one process, turn by
turn: 64 candidates, 20 denoising steps, 2 guide steps, released Hopper networks with random weights. Ratios are of CPU
seconds, a turn at a time.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet1DModel
from diffusers.experimental import ValueGuidedRLPipeline
from gymnasium.spaces import Box
from torch import nn

from diffplan.interop.export_folder import exported_pipeline
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.conditioning import FirstState
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.guide import ValueGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import for_planning
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import GaussianNormalizer
from diffplan.method.sampler.guided_samplers import SampleShiftSampler
from diffplan.method.trajectory import TransitionLayout
from diffplan.planner.cost import FlopCounter
from diffplan.planner.guided_planner import GuidedPlanner

ACTION, OBSERVATION, HORIZON, CANDIDATES = 3, 11, 32, 64
ROUNDS = 5


class StubEnv:
    """What the pipeline asks of an environment: its spaces, and a data set to take means and deviations from."""

    observation_space = Box(-np.inf, np.inf, (OBSERVATION,))
    action_space = Box(-1, 1, (ACTION,))

    def get_dataset(self) -> dict[str, np.ndarray]:
        rows = np.random.default_rng(0)
        return {"observations": rows.normal(size=(100, OBSERVATION)), "actions": rows.normal(size=(100, ACTION))}


def unet_1d(**settings) -> UNet1DModel:
    return UNet1DModel(
        in_channels=ACTION + OBSERVATION,
        out_channels=ACTION + OBSERVATION,
        time_embedding_type="positional",
        use_timestep_embedding=True,
        flip_sin_to_cos=False,
        freq_shift=1,
        down_block_types=["DownResnetBlock1D"] * 4,
        block_out_channels=[32, 64, 128, 256],
        layers_per_block=1,
        act_fn="mish",
        **settings,
    ).eval()


def give_weights(theirs: UNet1DModel, ours: nn.Module) -> None:
    """Copies parameter by parameter: the order is the same, but diffusers lists the middle after the way up."""
    parts = ("mid_block", "up_blocks", "out_block")
    order = {part: place for place, part in enumerate(parts)}
    named = sorted(theirs.named_parameters(), key=lambda item: order.get(item[0].split(".")[0], -1))
    for (_, source), target in zip(named, ours.parameters(), strict=True):
        target.data.copy_(source.data)


def scheduler(variance_type: str) -> DDPMScheduler:
    return DDPMScheduler(
        num_train_timesteps=20,
        beta_schedule="squaredcos_cap_v2",
        variance_type=variance_type,
        clip_sample=False,
        prediction_type="sample",
    )


def diffusers_pipeline() -> ValueGuidedRLPipeline:
    torch.manual_seed(0)
    value_function = unet_1d(
        mid_block_type="ValueFunctionMidBlock1D",
        up_block_types=[],
        out_block_type="ValueFunction",
        downsample_each_block=True,
    )
    unet = unet_1d(
        mid_block_type="MidResTemporalBlock1D",
        up_block_types=["UpResnetBlock1D"] * 3,
        out_block_type="OutConv1DBlock",
        downsample_each_block=False,
    )
    return ValueGuidedRLPipeline(value_function, unet, scheduler("fixed_small_log"), StubEnv())


def trained_pair(pipeline: ValueGuidedRLPipeline) -> tuple[TrajectoryModel, TrajectoryCritic]:
    """Our two networks with the pipeline's weights."""
    layout, ours = TransitionLayout(ACTION, OBSERVATION), scheduler("fixed_small")
    denoiser, critic = TemporalUnet(layout.transition_dim), ValueUnet(layout.transition_dim, HORIZON)
    give_weights(pipeline.unet, denoiser)
    give_weights(pipeline.value_function, critic)
    shared = (GaussianNormalizer(layout.transition_dim), ours)
    model = TrajectoryModel(denoiser.eval(), *shared, FirstState(), layout, HORIZON, 1)
    one = torch.ones(())
    return model, TrajectoryCritic(
        critic.eval(), *shared, layout, HORIZON, 1, ReturnTarget(), offset=0 * one, scale=one
    )


def decider(model: TrajectoryModel, critic: TrajectoryCritic, fast_networks: bool) -> Callable[[np.ndarray], None]:
    guide = partial(ValueGuide, scale=0.1, num_steps=2, t_stopgrad=2)
    sampler = SampleShiftSampler(model.scheduler)
    planner = GuidedPlanner(
        model,
        critic,
        sampler,
        guide,
        num_candidates=CANDIDATES,
        ranking="last_input",
        fast_networks=fast_networks,
    )

    def decide(observation: np.ndarray) -> None:
        planner.act(observation[None], np.array([True]))

    planner.reset(np.zeros((1, OBSERVATION)), None, [0])
    return decide


def piped(model: TrajectoryModel, critic: TrajectoryCritic, fast_networks: bool) -> Callable[[np.ndarray], None]:
    form = TrajectoryFormat.of_model(model, critic.target, guide_scale=0.1, t_stopgrad=2)
    pipeline = exported_pipeline(model, critic, form)
    pipeline.set_progress_bar_config(disable=True)
    if fast_networks:
        pipeline.enable_fast_networks()
    return lambda observation: pipeline(observation, num_candidates=CANDIDATES, ranking="last_input")


@pytest.mark.benchmark
def test_a_decision_beside_diffusers() -> None:
    pipeline = diffusers_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    model, critic = trained_pair(pipeline)
    denoiser = for_planning(model.backbone, HORIZON, CANDIDATES)
    values = for_planning(critic.backbone, HORIZON, CANDIDATES)
    trajectories, timesteps = torch.randn(CANDIDATES, HORIZON, ACTION + OBSERVATION), torch.full((CANDIDATES,), 7)
    with torch.no_grad():
        columns_first = trajectories.transpose(1, 2)
        theirs = pipeline.unet(columns_first, timesteps).sample.transpose(1, 2)
        their_values = pipeline.value_function(columns_first, timesteps).sample[:, 0]
        torch.testing.assert_close(denoiser(trajectories, timesteps[:1]), theirs, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(values(trajectories, timesteps[:1]), their_values, atol=1e-4, rtol=1e-4)
    sides = {
        "diffusers": lambda observation: pipeline(observation, CANDIDATES, HORIZON, n_guide_steps=2, scale=0.1),
        "networks as trained": decider(model, critic, fast_networks=False),
        "networks for planning": decider(model, critic, fast_networks=True),
        "DiffuserPipeline": piped(model, critic, fast_networks=False),
        "DiffuserPipeline, fast networks": piped(model, critic, fast_networks=True),
    }
    operations, seconds = {}, {name: [] for name in sides}
    for name, decide in sides.items():
        with FlopCounter() as counter:
            decide(np.zeros(OBSERVATION))
        operations[name] = counter.total / 1e9
    for turn in range(ROUNDS):
        observation = np.random.default_rng(turn).normal(size=OBSERVATION)
        for name, decide in sides.items():
            begin = time.process_time()
            decide(observation)
            seconds[name].append(time.process_time() - begin)
    for name, measured in seconds.items():
        ratios = [ours / theirs for ours, theirs in zip(measured, seconds["diffusers"], strict=True)]
        print(
            f"\n{name}: {operations[name]:.1f} GFLOP; CPU seconds {statistics.median(measured):.2f}, ratio "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f} over {ROUNDS} turns)"
        )
