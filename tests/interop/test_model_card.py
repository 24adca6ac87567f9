import yaml

from diffplan.interop.model_card import TrainingRecipe, model_card
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


RECIPE = TrainingRecipe("diffplan-train seed=7", "abc123", 5000, 7, 360.0, {"torch": "2.0"})


def test_it_names_task_data_scores_and_licence_for_people_and_for_the_hub():
    card = model_card(form(), None, RECIPE, scored(), "apache-2.0")
    front = yaml.safe_load(card.split("---")[1])
    assert (front["license"], front["library_name"]) == ("apache-2.0", "diffusers")
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "normalized_score", "value": 45.0}]
    assert result["dataset"]["name"] == "hopper-medium-v2 (collected)"
    assert "its scores are no D4RL results" in card
    assert "| single_task | 45.0 | 5.0 | 2 | 7 |" in card
    assert "ValueGuidedRLPipeline" in card
    assert "action = plan.actions[:, 0, 0]" in card
    assert "| trained by | `diffplan-train seed=7` |" in card
    assert "| commit | abc123 |" in card
    assert "| transitions | 10 |" in card


def test_it_says_what_is_not_known_and_who_cannot_load_it():
    card = model_card(form(), "the denoiser has attention", RECIPE, None, "mit")
    assert "Not evaluated" in card
    assert "cannot plan with it: the denoiser has attention." in card
    assert "model-index" not in card


def test_a_model_without_actions_is_used_by_its_states():
    card = model_card(
        TrajectoryFormat(0, 4, HORIZON, conditioning="start_and_goal"), "it has none", RECIPE, None, "mit"
    )
    assert "states = plan.observations[:, 0]" in card
    assert "plan.actions" not in card
