"""Results as runs leave them, made up."""

import copy
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from diffplan.report.results import StoredResult, episode_table
from diffplan.run.result import EpisodeScores, FileIdentity, Result

CONFIG = {
    "ablation": "default",
    "source": {"_target_": "diffplan.data.source.d4rl_source.D4RLSource", "num_transitions": None},
    "window": {"horizon": 32},
    "datamodule": {"horizon": 32, "seed": 0},
    "backbone": {"dim": 32},
    "scheduler": {"_target_": "diffusers.DDPMScheduler", "variance_type": "fixed_small"},
    "sampler": {"num_inference_steps": None},
    "planner": {"num_candidates": 64},
    "loss": {"horizon": 32},
    "module": {"backbone": None, "horizon": 32, "seed": 0},
    "trainer": {"max_steps": 100},
}
VERSIONS = {"diffplan": "0.1.0", "commit": "aaaaaaaaaaaa", "torch": "2.13.0"}


class Page(HTMLParser):
    """Tags, attributes, text and charts (as Vega-Lite) of a page; scripts are not part of the text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.charts = [], "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        last, attributes = self.tags[-1] if self.tags else ("", {})
        if last == "script" and self.lasttag == "script" and self.cdata_elem == "script":
            if attributes.get("type") == "application/json":
                self.charts.append(json.loads(data))
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def make_episodes(
    scores: Sequence[float], first_seed: int = 0, latched: bool = True, gflop: float | None = 1.0, cpu: float = 0.1
) -> EpisodeScores:
    """Episodes with references 0 and 100, so that returns are scores."""
    seeds = list(range(first_seed, first_seed + len(scores)))
    return EpisodeScores(
        seeds=seeds, returns=list(scores), scores=list(scores), lengths=[10] * len(seeds),
        latched_scores=[score + 10 for score in scores] if latched else None, reference_min=0.0, reference_max=100.0,
        decision_seconds=0.1, decision_cpu_seconds=cpu, decision_gflop=gflop,
    )  # fmt: skip


def make_result(
    seed: int = 0,
    scores: Sequence[float] = (50.0, 60.0, 70.0, 80.0),
    task: str = "maze2d-umaze-v1",
    settings: dict[str, object] | None = None,
    ablation: str = "default",
    protocols: Sequence[str] | dict[str, EpisodeScores] = ("single_task", "multi2d"),
    **facts: object,
) -> Result:
    """A final result of one run; ``settings`` are values by dotted key, and training seeds have checkpoints apart."""
    config = copy.deepcopy(CONFIG) | {"task": {"name": task, "env_id": task}, "ablation": ablation, "seed": seed}
    config["module"]["seed"] = config["datamodule"]["seed"] = seed
    for key, value in (settings or {}).items():
        *branches, leaf = key.split(".")
        node = config
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    if not isinstance(protocols, dict):
        protocols = {protocol: make_episodes(scores) for protocol in protocols}
    standing = {
        "job": "train", "task": task, "name": "diffuser", "seed": seed, "ablation": ablation, "step": 100,
        "final": True, "protocols": protocols, "metrics": {},
        "cost": {}, "data": {"name": task, "kind": "d4rl", "sha256": "aa", "num_transitions": 9},
        "environment": {"env_id": task, "mujoco": "4.0.0"}, "versions": VERSIONS, "config": config,
        "config_hash": "01234567", "created": f"2026-01-01T00:00:0{seed % 10}+00:00",
        "checkpoint": FileIdentity(path="checkpoints/last.ckpt", sha256=f"{ablation}-{settings}-{seed}"),
    }  # fmt: skip
    return Result(**standing | facts)


def stored(result: Result | None = None, source: str = "", **facts: object) -> StoredResult:
    """A result with a place of its own."""
    result = make_result(**facts) if result is None else result
    return StoredResult(result, source or f"outputs/{result.name}/{result.ablation}/seed{result.seed}/results.json")


def played(*results: StoredResult, protocol: str = "single_task") -> pd.DataFrame:
    """The table of results, one protocol of it."""
    table = episode_table(results)
    return table[table["protocol"] == protocol]


def write_result(result: Result, folder: Path, name: str = "results.json") -> Path:
    """Leaves a result in a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(result.to_json())
    return folder / name


@pytest.fixture
def two_seeds() -> list[StoredResult]:
    """Two training seeds of one experiment."""
    return [stored(seed=0), stored(seed=1, scores=(40.0, 50.0, 60.0, 70.0))]
