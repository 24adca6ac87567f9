from diffplan.callback.progress_bar import ProgressBar


def test_the_bar_counts_steps_and_leaves_out_prefixes_and_versions(fit, capsys):
    bar = ProgressBar()
    fitted = fit(bar, max_steps=4, enable_progress_bar=True)
    assert set(bar.get_metrics(fitted.trainer, fitted.module)) == {"loss"}
    shown = capsys.readouterr().out
    assert "Training" in shown
    assert "Epoch" not in shown
