import json

import pytest
from pydantic import ValidationError

from diffplan.errors import ResultError
from diffplan.run.result import EpisodeScores, Result

CONFIG = {
    "task": {"name": "maze2d-umaze-v1", "horizon": 32},
    "name": "diffuser",
    "seed": 3,
    "ablation": "default",
    "backbone": {"dim": 16},
    "sampler": {"_target_": "Plain"},
}


def episodes(**changes) -> EpisodeScores:
    fields = {
        "seeds": [0, 1], "returns": [10.0, 20.0], "scores": [50.0, 100.0], "lengths": [300, 300],
        "latched_scores": None, "reference_min": 0.0, "reference_max": 20.0, "decision_seconds": 0.1,
        "decision_cpu_seconds": 0.2, "decision_gflop": None,
    }  # fmt: skip
    return EpisodeScores(**fields | changes)


def result(**changes) -> Result:
    facts = {
        "job": "train", "step": 20, "final": True, "protocols": {"single_task": episodes()},
        "metrics": {"eval/single_task/normalized_score_mean": 75.0}, "cost": {"train_seconds": 1.5},
        "data": {"name": "maze2d-umaze-v1", "kind": "regenerated", "sha256": "ab", "num_transitions": 9},
        "environment": {"env_id": "maze2d-umaze-v1"}, "checkpoint": None,
    }  # fmt: skip
    return Result.of_run(CONFIG, **facts | changes)


def test_a_record_reads_back_as_it_was_written():
    written = result(metrics={"eval/single_task/value_bias": float("nan")} | result().metrics)
    assert Result.parse(written.to_json()).to_json() == written.to_json()
    assert Result.parse(written.to_json()).protocols["single_task"].scores == [50.0, 100.0]


def test_the_config_says_which_run_it_was():
    record = result()
    assert (record.task, record.name, record.seed, record.ablation, record.sweep) == (
        "maze2d-umaze-v1", "diffuser", 3, "default", None,
    )  # fmt: skip
    assert record.versions["diffplan"]


def test_a_plan_is_recorded_with_what_its_model_was_trained_with():
    planned = {**CONFIG, "scheduler": {}, "guide": {}, "planner": {}, "sampler": {"_target_": "Guided"}}
    planned["ablation"] = "sampler=guided"
    del planned["backbone"]
    record = Result.of_run(planned, CONFIG, **result().model_dump(include={"job", "step", "final", "protocols",
        "metrics", "cost", "data", "environment", "checkpoint"}))  # fmt: skip
    assert record.config["backbone"] == {"dim": 16}
    assert record.config["sampler"] == {"_target_": "Guided"}
    assert record.ablation == "sampler=guided"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "broken: Invalid JSON"),
        (lambda text: "", "broken: Invalid JSON"),
        (lambda text: '{"step": 3, "metrics": {}}', "not a result"),
        (lambda text: "[1, 2]", "broken"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 9'), "version 9, this diffplan reads 1"),
        (lambda text: text.replace('"seed": 3', '"seed": "three"', 1), "broken at seed"),
        (lambda text: text.replace('"job"', '"jib"'), "broken at job"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_refused_with_the_reason(damage, reason):
    with pytest.raises(ResultError, match=reason):
        Result.parse(damage(result().to_json()))


@pytest.mark.parametrize("changes", [{"scores": [1.0]}, {"latched_scores": [1.0, 2.0, 3.0]}, {"seeds": [4, 4]}])
def test_columns_of_different_lengths_and_repeated_seeds_are_refused(changes):
    with pytest.raises(ValidationError):
        episodes(**changes)


def test_the_file_is_plain_json():
    assert json.loads(result().to_json())["protocols"]["single_task"]["returns"] == [10.0, 20.0]
