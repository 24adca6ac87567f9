import io

from rich.console import Console

from diffplan.report.table.score_table import print_scores

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
