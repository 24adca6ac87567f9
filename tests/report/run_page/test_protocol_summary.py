from diffplan.report.run_page.protocol_summary import ProtocolSummary
from diffplan.report.run_record import RunRecord


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
