import io

from rich.console import Console

from diffplan.report.run_record import RunRecord
from diffplan.report.run_summary import ProtocolSummary, print_scores


def run_with(tmp_path, metrics, paper_scores=None):
    config = {"task": {"paper_scores": paper_scores}}
    return RunRecord(run_dir=tmp_path, config=config, metrics=metrics, files={}, events=[])


def score(protocol, mean, stderr=1.0):
    return {f"eval/{protocol}/normalized_score_mean": mean, f"eval/{protocol}/normalized_score_stderr": stderr}


def test_the_latest_evaluation_is_compared_with_the_paper(tmp_path):
    metrics = {10: score("single_task", 50.0), 20: score("single_task", 111.0, 4.26), 30: {"train/loss": 0.1}}
    (summary,) = ProtocolSummary.of_run(run_with(tmp_path, metrics, {"single_task": [113.9, 3.1]}))
    assert (summary.step, summary.score_text, summary.paper_text) == (20, "111.0 ± 4.3", "113.9 ± 3.1")
    assert summary.difference_text == "-2.9"
    assert summary.reaches_paper


def test_more_than_one_standard_error_below_does_not_reach_the_paper(tmp_path):
    metrics = {10: score("single_task", 110.7)}
    (summary,) = ProtocolSummary.of_run(run_with(tmp_path, metrics, {"single_task": [113.9, 3.1]}))
    assert not summary.reaches_paper


def test_without_a_number_of_the_paper_there_is_no_comparison(tmp_path):
    for paper_scores in (None, {}, {"single_task": "high"}, {"single_task": [1, 2, 3]}, {"single_task": [None, 1]}):
        (summary,) = ProtocolSummary.of_run(run_with(tmp_path, {10: score("single_task", 1.0)}, paper_scores))
        assert (summary.paper, summary.paper_text, summary.difference_text) == (None, "", "")


def test_the_papers_protocols_come_first(tmp_path):
    metrics = {10: score("another", 1.0) | score("multi2d", 1.0) | score("single_task", 1.0)}
    assert [s.title for s in ProtocolSummary.of_run(run_with(tmp_path, metrics))] == [
        "Single task",
        "Multi2D",
        "another",
    ]


def test_the_latched_score_stands_under_its_own_name(tmp_path):
    row = score("multi2d", 1.0) | {"eval/multi2d/latched_score_mean": 9.0, "eval/multi2d/success_rate": 0.5}
    (summary,) = ProtocolSummary.of_run(run_with(tmp_path, {10: row}))
    assert summary.facts == [("latched score", "9.0"), ("reached the goal", "50%")]


def test_a_task_without_goal_shows_its_episodes_critic_and_cost(tmp_path):
    numbers = {
        "return_mean": 2851.4, "episode_length_mean": 871.6, "termination_rate": 0.24, "decision_seconds": 0.0123,
        "decision_cpu_seconds": 0.02, "decision_gflop": 155.5, "value_correlation": 0.876, "value_bias": -12.34,
    }  # fmt: skip
    row = score("single_task", 88.0) | {f"eval/single_task/{key}": value for key, value in numbers.items()}
    (summary,) = ProtocolSummary.of_run(run_with(tmp_path, {10: row}))
    assert summary.facts == [
        ("return", "2851.4"),
        ("episode length", "872"),
        ("terminated", "24%"),
        ("critic's correlation with the return", "0.88"),
        ("critic's bias", "-12.3"),
        ("seconds per decision", "0.012"),
        ("CPU seconds per decision", "0.02"),
        ("GFLOP per decision", "156"),
    ]


METRICS = {
    f"eval/{protocol}/{key}": value
    for protocol in ("single_task", "multi2d")
    for key, value in {
        "num_episodes": 100.0,
        "normalized_score_mean": 112.34,
        "normalized_score_stderr": 1.26,
        "latched_score_mean": 120.0,
        "latched_score_stderr": 2.0,
        "success_rate": 0.98,
    }.items()
}
PAPER = {"single_task": (113.9, 3.1)}


def printed(metrics, kind):
    text = io.StringIO()
    data = {"name": "maze2d-umaze-v1", "kind": kind, "num_transitions": 200_000}
    print_scores(metrics, PAPER, data, Console(file=text, width=80))
    return text.getvalue()


def test_each_protocol_has_one_line_that_fits_eighty_columns():
    lines = printed(METRICS, "regenerated").splitlines()
    single = next(line for line in lines if "single_task" in line)
    assert all(cell in single for cell in ("100", "112.3 ± 1.3", "113.9 ± 3.1", "120.0 ± 2.0", "98 %"))
    assert sum("multi2d" in line for line in lines) == 1
    assert "…" not in "".join(lines)


def test_a_protocol_the_paper_has_no_number_for_shows_none():
    lines = printed(METRICS, "d4rl").splitlines()
    assert "113.9" not in next(line for line in lines if "multi2d" in line)


def test_data_that_is_not_d4rl_s_says_so():
    assert "regenerated data (no D4RL result)" in printed(METRICS, "regenerated")
    assert "no D4RL result" not in printed(METRICS, "d4rl")


def test_steps_to_the_goal_are_left_open_where_no_episode_reached_it():
    reached = METRICS | {"eval/multi2d/steps_to_goal_mean": 73.0}
    lines = printed(reached, "d4rl").splitlines()
    assert next(line for line in lines if "multi2d" in line).rstrip().endswith("73")
    assert next(line for line in lines if "single_task" in line).rstrip().endswith("-")


def test_a_task_without_goal_shows_how_long_episodes_were_instead():
    numbers = {
        "num_episodes": 150.0, "normalized_score_mean": 88.24, "normalized_score_stderr": 2.5, "return_mean": 2851.4,
        "episode_length_mean": 871.6, "termination_rate": 0.24, "decision_seconds": 0.0123, "value_bias": 3.0,
    }  # fmt: skip
    lines = printed({f"eval/single_task/{key}": value for key, value in numbers.items()}, "d4rl").splitlines()
    (heading,) = (line for line in lines if "protocol" in line)
    assert heading.split() == ["protocol", "n", "score", "paper", "return", "length", "fell", "s/step"]
    (single,) = (line for line in lines if "single_task" in line)
    assert all(cell in single for cell in ("150", "88.2 ± 2.5", "113.9 ± 3.1", " 2851 ", " 872 ", "24 %", "0.012"))
    assert "…" not in "".join(lines)
