from diffplan.report.run_page.run_charts import run_charts
from diffplan.report.run_record import RunRecord


def test_loss_scores_and_speed_come_first_and_everything_else_follows(tmp_path):
    row = {
        "train/loss": 0.5,
        "train/steps_per_second": 6.0,
        "train/learning_rate": 1e-4,
        "eval/single_task/normalized_score_mean": 100.0,
        "eval/single_task/normalized_score_stderr": 2.0,
        "eval/single_task/latched_score_mean": 110.0,
        "eval/single_task/success_rate": 1.0,
        "epoch": 0.0,
    }
    record = RunRecord(run_dir=tmp_path, config={}, metrics={10: row, 20: row}, files={}, events=[])
    charts = run_charts(record, ["single_task"])
    assert [chart.title for chart in charts if chart.main] == [
        "Training loss (log)",
        "Single task: score over training",
        "Training steps per second",
    ]
    assert charts[1].legend == ["score", "latched score"]
    assert [c.title for c in charts if not c.main] == ["eval/single_task/success_rate", "train/learning_rate"]


def test_one_point_is_no_curve(tmp_path):
    record = RunRecord(run_dir=tmp_path, config={}, metrics={10: {"train/loss": 0.5}}, files={}, events=[])
    assert run_charts(record, []) == []
