import shlex

import pytest
import yaml

from diffplan.errors import CheckpointError
from diffplan.interop.model_card import model_card, training_command
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.result import Result
from tests.interop.conftest import HORIZON


def scored() -> Result:
    return Result(
        job="train", task="hopper-medium-v2", name="x", seed=7, ablation="default", step=1, final=True,
        protocols={"single_task": {
            "seeds": [0, 1], "returns": [1.0, 2.0], "scores": [40.0, 50.0], "lengths": [5, 5], "latched_scores": None,
            "reference_min": 0.0, "reference_max": 1.0, "decision_seconds": 0.1, "decision_cpu_seconds": 0.1,
            "decision_gflop": None,
        }},
        metrics={
            "eval/single_task/normalized_score_mean": 45.0, "eval/single_task/normalized_score_stderr": 5.0,
            "eval/single_task/num_episodes": 2.0,
        },
        cost={}, data={"name": "hopper-medium-v2", "kind": "collected"}, environment={}, config={}, config_hash="0",
        checkpoint=None,
    )  # fmt: skip


def form() -> TrajectoryFormat:
    data = {"name": "hopper-medium-v2", "kind": "collected", "sha256": "abc", "num_transitions": 10}
    return TrajectoryFormat(
        3, 11, HORIZON, task="hopper-medium-v2", env_id="hopper-medium-v2", guide_scale=0.1, data=data
    )


def run_of(folder, text: str):
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(text)
    return folder


def test_it_names_task_data_recipe_scores_and_licence_for_people_and_for_the_hub(tmp_path):
    versions = {"diffplan": "0.1.0", "commit": "abc123", "torch": "2.0"}
    cost = {"critic_cpu_seconds": 60.0, "critic_seconds": 70.0, "train_cpu_seconds": 120.0}
    result = scored().model_copy(update={"versions": versions, "cost": cost})
    card = model_card(form(), None, run_of(tmp_path, "[seed=7]"), 5000, 7, result, "apache-2.0")
    front = yaml.safe_load(card.split("---")[1])
    assert (front["license"], front["library_name"]) == ("apache-2.0", "diffusers")
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "normalized_score", "value": 45.0}]
    assert result["dataset"]["name"] == "hopper-medium-v2 (collected)"
    assert "its scores are no D4RL results" in card
    assert "| single_task | 45.0 | 5.0 | 2 | 7 |" in card
    assert "ValueGuidedRLPipeline" in card
    assert "action = plan.actions[:, 0, 0]" in card
    assert "| transitions | 10 |" in card
    assert recipe(card) == [
        "| trained by | `diffplan-train seed=7` |",
        "| steps and seed | 5,000 steps of the denoiser, seed 7 |",
        "| cost of training | 3 CPU minutes |",
        "| commit | abc123 |",
        "| versions | diffplan 0.1.0, torch 2.0 |",
    ]


def recipe(card: str) -> list[str]:
    """Returns the rows of the table of that name."""
    return card.partition("## Recipe\n\n| | |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()


def test_it_says_what_is_not_known_and_who_cannot_load_it(tmp_path):
    card = model_card(form(), "the denoiser has attention", tmp_path, 5, 0, None, "mit")
    assert "Not evaluated" in card
    assert "cannot plan with it: the denoiser has attention." in card
    assert "model-index" not in card
    assert recipe(card) == ["| steps and seed | 5 steps of the denoiser, seed 0 |"]


def test_a_model_without_actions_is_used_by_its_states(tmp_path):
    form = TrajectoryFormat(0, 4, HORIZON, conditioning="start_and_goal")
    card = model_card(form, "it has none", tmp_path, 5, 0, None, "mit")
    assert "states = plan.observations[:, 0]" in card
    assert "plan.actions" not in card


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("experiment=quickstart", "experiment=quickstart"),
        ("source.path=/data/of mine/hopper.hdf5", "source.path=hopper.hdf5"),
        ("source.path='/data/a b/hopper.hdf5'", "source.path='hopper.hdf5'"),
        ("files=[/a/b.h5,~/c/d.h5]", "files=[b.h5,d.h5]"),
        ("source.path=C:\\data\\hopper.hdf5", "source.path=hopper.hdf5"),
        ("critic.path=outputs/hopper/critic", "critic.path=outputs/hopper/critic"),
        ("hydra/launcher=slurm", "hydra/launcher=slurm"),
    ],
)
def test_the_command_is_told_without_the_folders_of_a_machine(tmp_path, override, told):
    folder = run_of(tmp_path, yaml.safe_dump([override, "seed=3", "paths.output_dir=/mnt/x"]))
    assert shlex.split(training_command(folder)) == ["diffplan-train", told, "seed=3"]


@pytest.mark.parametrize("text", ["{", "seed: 3", "[1, 2]"])
def test_a_broken_record_is_refused(tmp_path, text):
    with pytest.raises(CheckpointError, match=r"overrides\.yaml cannot be told in the model card"):
        training_command(run_of(tmp_path, text))


def test_text_from_a_run_is_shown_as_text(tmp_path):
    hostile = "\x1b]0;owned\x07</script><script>alert(1)</script>|`![x](y)\nnext\u202e"
    data = {"name": hostile, "kind": "collected", "sha256": hostile, "num_transitions": 10}
    form = TrajectoryFormat(3, 11, HORIZON, task=hostile, env_id=hostile, guide_scale=0.1, data=data)
    result = scored().model_copy(update={"versions": {hostile: hostile, "commit": hostile}})
    result = result.model_copy(update={"protocols": {hostile: result.protocols["single_task"]}})
    run = run_of(tmp_path, yaml.safe_dump([f"name={hostile}"]))
    card = model_card(form, hostile, run, 5, 0, result, hostile)
    assert not set(card) & set("\x1b\x07\u202e")
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["license"].startswith("\\x1b]0;owned")
    shown, code = [], []
    for line in body.splitlines():
        (code if line.startswith("| trained by") else shown).append(line)
    # In a span of code HTML means nothing; this one stands between two backticks, because it holds one.
    assert code[0].startswith("| trained by | `` diffplan-train")
    assert code[0].endswith(" `` |")
    assert "<script>" not in "".join(shown)
    assert "![x]" not in "".join(shown)
    assert {line.count("|") - line.count(r"\|") for line in (*shown, *code) if line.startswith("| ")} == {3, 6}
