"""Draws the pictures of the page *Concepts* with the two models in ``notebooks/pretrained``.

Run it from the root of the repository; it takes less than a minute on one core:

    python docs/make_pictures.py
"""

import csv
import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from diffplan.env import MazeLayout, rollout
from diffplan.interop import DiffuserPipeline
from diffplan.method.sampler import UnguidedSampler
from diffplan.planner.waypoint_planner import WaypointPlanner
from diffplan.report.picture.maze_picture import INK, TIME, draw_mark, draw_maze, draw_path

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
STANDING = np.array([1.25, *[0.0] * 10])  # a hopper at rest
sys.path.insert(0, str(ROOT / "examples"))


def load(name: str) -> DiffuserPipeline:
    """Loads a model of ``notebooks/pretrained``."""
    pipeline = DiffuserPipeline.from_pretrained(ROOT / "notebooks" / "pretrained" / name)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save(figure: Figure, name: str) -> None:
    """Writes one picture with 256 colours, which is a third of the size."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
        PICTURES / f"{name}.png", optimize=True
    )


def draw_plan() -> None:
    """One plan as rows of a table and as a path in the maze, with what was executed."""
    pipeline, maze = load("maze2d-umaze"), MazeLayout.named("umaze")
    planner = WaypointPlanner(pipeline.model(), None, UnguidedSampler(pipeline.scheduler))
    episode = rollout("maze2d-umaze-v1", planner, seeds=[3])
    plan = planner.plans()[0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=[1, 1.4])
    draw_maze(left, maze)
    draw_path(left, plan, linewidth=1.5)
    left.scatter(plan[:, 1], plan[:, 0], c=np.linspace(0, 1, len(plan)), cmap=TIME, s=22, zorder=3)
    path = episode.observations[0, : episode.lengths[0]]
    left.plot(path[:, 1], path[:, 0], color=INK, linewidth=0.8, zorder=4)
    draw_mark(left, "start", plan[0])
    draw_mark(left, "goal", plan[-1])
    left.set_title("a plan of 32 rows, and the executed path (thin)", fontsize=9)
    image = right.imshow(plan.T, aspect="auto", cmap="viridis")
    right.set(yticks=range(4), yticklabels=["x", "y", "x velocity", "y velocity"], xlabel="row of the plan")
    right.set_title("the same plan as the array that the network denoises", fontsize=9)
    figure.colorbar(image, ax=right, label="metres, metres per second")
    save(figure, "plan")


def draw_candidates() -> None:
    """Candidates for one hopper, coloured by the critic's value; the best one is executed."""
    pipeline = load("hopper")
    plan = pipeline(STANDING, num_candidates=64, guidance_scale=0.0, generator=torch.Generator().manual_seed(0))
    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    colors = plt.cm.viridis((plan.values[0] - plan.values[0].min()) / np.ptp(plan.values[0]))
    for candidate, color in reversed(list(zip(plan.observations[0], colors, strict=True))):
        ax.plot(candidate[:, 5], color=color, linewidth=0.9)
    ax.plot(plan.observations[0, 0, :, 5], color="#d64541", linewidth=2.5, label="the best candidate")
    scale = plt.cm.ScalarMappable(plt.Normalize(plan.values[0].min(), plan.values[0].max()), "viridis")
    figure.colorbar(scale, ax=ax, label="value: predicted return")
    ax.set(xlabel="row of the plan, one environment step each", ylabel="planned forward speed (m/s)")
    ax.legend(frameon=False)
    save(figure, "candidates")


def draw_guide() -> None:
    """The same candidates without and with the guide of ``examples/own_guide.py``."""
    from own_guide import ColumnGuide

    pipeline = load("hopper")
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
    for ax, scale in zip(axes, (0.0, 10.0), strict=True):
        guide = ColumnGuide(None, pipeline.trajectory.layout.action_dim + 5, scale)
        plan = pipeline(STANDING, num_candidates=32, guide=guide, generator=torch.Generator().manual_seed(0))
        speeds = plan.observations[0, :, :, 5]
        ax.plot(speeds.T, color="#3468c0", linewidth=0.7, alpha=0.6)
        ax.plot(speeds.mean(axis=0), color=INK, linewidth=2.5, label=f"mean of all rows {speeds.mean():.2f} m/s")
        ax.set(title=f"guide scale {scale:g}", xlabel="row of the plan")
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("planned forward speed (m/s)")
    save(figure, "guide")


def draw_protocols() -> None:
    """Four episodes of each protocol: one fixed goal, or a random goal for each episode."""
    pipeline, maze = load("maze2d-umaze"), MazeLayout.named("umaze")
    planner = WaypointPlanner(pipeline.model(), None, UnguidedSampler(pipeline.scheduler))
    figure, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
    for row, protocol in zip(axes, ("single_task", "multi2d"), strict=True):
        episodes = rollout("maze2d-umaze-v1", planner, seeds=range(4), protocol=protocol)
        for index, ax in enumerate(row):
            draw_maze(ax, maze)
            draw_path(ax, episodes.observations[index, : episodes.lengths[index]], linewidth=2)
            draw_mark(ax, "start", episodes.starts[index])
            draw_mark(ax, "goal", episodes.targets[index])
            ax.set_title(f"{protocol}, seed {index}", fontsize=8)
    save(figure, "protocols")


def draw_clocks() -> None:
    """The three clocks: diffusion timestep, environment step, training step."""
    pipeline, maze = load("maze2d-umaze"), MazeLayout.named("umaze")
    chain, form = [], pipeline.trajectory

    def keep(pipe: DiffuserPipeline, step: int, timestep: torch.Tensor, tensors: dict) -> dict:
        chain.append((int(timestep), (tensors["trajectories"][0] * form.scale + form.offset).numpy()))
        return {}

    start, goal = np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 3.0, 0.0, 0.0])
    generator = torch.Generator().manual_seed(1)
    pipeline(start, goals=goal, num_candidates=1, generator=generator, callback_on_step_end=keep)
    planner = WaypointPlanner(pipeline.model(), None, UnguidedSampler(pipeline.scheduler))
    episode = rollout("maze2d-umaze-v1", planner, seeds=[3])
    path = episode.observations[0, : episode.lengths[0]]
    figure = plt.figure(figsize=(9, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    for column, index in enumerate((0, 40, 56, 63)):
        ax = figure.add_subplot(grid[0, column])
        draw_maze(ax, maze)
        draw_path(ax, chain[index][1], linewidth=2)
        ax.set_title(f"timestep {chain[index][0]}", fontsize=9)
    ax = figure.add_subplot(grid[1, :2])
    ax.plot(np.linalg.norm(path[:, :2] - episode.targets[0], axis=1), color="#3468c0")
    ax.set(title="step: one action in the environment", xlabel="step", ylabel="distance to the goal (m)")
    ax = figure.add_subplot(grid[1, 2:])
    with (ROOT / "results" / "quickstart" / "metrics.csv").open() as file:
        rows = [(int(row["step"]), float(row["train/loss"])) for row in csv.DictReader(file) if row["train/loss"]]
    ax.semilogy(*zip(*rows, strict=True), color="#d0587e")
    ax.set(title="global_step: one step of the optimiser", xlabel="global_step", ylabel="train/loss")
    save(figure, "clocks")


if __name__ == "__main__":
    torch.set_num_threads(1)
    PICTURES.mkdir(exist_ok=True)
    for draw in (draw_plan, draw_candidates, draw_guide, draw_protocols, draw_clocks):
        draw()
