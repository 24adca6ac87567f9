"""What runs leave, read back from where they left it."""

import pytest

from diffplan.run.result import FileIdentity, Result
from diffplan.tracking.evaluation_recorder import renew_outputs


@pytest.fixture(scope="module")
def run(make_train_command):
    command = make_train_command("recorded")
    done = command("callbacks.rollout.every_n_steps=10", "seed=3", "trainer.max_steps=20")
    assert done.returncode == 0, done.stderr
    (run_dir,) = command.run_dirs
    return run_dir


@pytest.fixture(scope="module")
def final(run):
    return Result.parse((run / "results.json").read_bytes())


def test_the_final_result_says_what_was_done_with_what(run, final):
    assert (final.job, final.task, final.name, final.seed, final.step) == (
        "train", "maze2d-umaze-v1", "quickstart", 3, 20,
    )  # fmt: skip
    assert final.final
    assert final.data["kind"] == "regenerated"
    assert final.data["num_transitions"] == 3000
    assert final.environment["env_id"] == "maze2d-umaze-v1"
    assert final.config["backbone"]["dim"] == 8
    assert final.critic is None


def test_every_episode_is_there_with_its_score(final):
    assert set(final.protocols) == {"single_task", "multi2d"}
    for protocol, episodes in final.protocols.items():
        assert episodes.seeds == [0, 1]
        mean = sum(episodes.scores) / 2
        assert final.metrics[f"eval/{protocol}/normalized_score_mean"] == pytest.approx(mean)
        span = episodes.reference_max - episodes.reference_min
        assert episodes.scores == pytest.approx(
            [100 * (value - episodes.reference_min) / span for value in episodes.returns]
        )


def test_deciding_and_training_have_a_cost(final):
    assert final.protocols["multi2d"].decision_gflop > 0
    assert final.cost["train_seconds"] > 0
    assert final.cost["train_cpu_seconds"] > 0


def test_the_checkpoint_is_known_by_place_and_content(run, final):
    assert final.checkpoint.path == "checkpoints/last.ckpt"
    assert final.checkpoint.sha256 == FileIdentity.of(run / "checkpoints" / "last.ckpt").sha256


def test_evaluations_on_the_way_leave_results_of_their_own(run):
    between = Result.parse((run / "evaluation" / "results-step10.json").read_bytes())
    assert (between.step, between.final) == (10, False)
    assert len(between.protocols["multi2d"].seeds) == 1
    assert not (run / "evaluation" / "results-step20.json").exists()


def test_a_finished_run_is_marked_as_finished_after_everything_else(run):
    result = (run / "results.json").stat().st_mtime_ns
    for name in ("metrics.csv", "events.jsonl", "files.jsonl", "index.html"):
        assert (run / name).stat().st_mtime_ns <= result, name


def test_a_finished_run_gets_its_table_and_page_anew_when_its_command_is_typed_again(run):
    whole = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(whole[:40])
    (run / "index.html").unlink()
    renew_outputs(run)
    assert (run / "metrics.csv").read_bytes() == whole
    assert (run / "index.html").is_file()
