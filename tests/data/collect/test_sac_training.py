import json
import os
import sys
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from filelock import FileLock
from stable_baselines3.common.save_util import load_from_zip_file

import diffplan.data.collect.sac_training as sac_training
from diffplan.data.collect.episode_recorder import EpisodeRecorder
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.collect.sac_training import SacTraining
from diffplan.env.make_env import make_env
from diffplan.errors import ConfigError, DataError

RECIPE = LocomotionRecipe(
    "hopper-medium-v2",
    train_steps=180,
    hidden_width=8,
    batch_size=4,
    learning_starts=20,
    evaluate_every=60,
    evaluation_episodes=2,
)


def never(milestone) -> bool:
    return False


def training(folder, **changes) -> SacTraining:
    return SacTraining(replace(RECIPE, **changes), folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A training of 180 steps without an interruption."""
    done = training(tmp_path_factory.mktemp("straight"))
    done.run(never)
    return done


@pytest.fixture
def copy(straight, tmp_path):
    """The folder of that training, to be changed."""
    for path in straight.folder.iterdir():
        if not path.name.startswith("."):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def assert_same(first: SacTraining, second: SacTraining):
    assert first.milestones == second.milestones
    last = first.milestones[-1]
    rows, others = first.rows(last), second.rows(last)
    for key in rows:
        np.testing.assert_array_equal(rows[key], others[key])
    for name, weights in first.policy(last).weights.items():
        np.testing.assert_array_equal(weights, second.policy(last).weights[name])


def test_milestones_are_at_ends_of_episodes(straight):
    assert [milestone.step // 60 for milestone in straight.milestones] == [1, 2, 3]
    for milestone in straight.milestones:
        rows = straight.rows(milestone)
        ends = rows["terminals"] | rows["timeouts"]
        assert len(ends) == milestone.step
        assert ends[-1]


def test_rows_are_what_was_played(straight):
    rows = straight.rows(straight.milestones[-1])
    going_on = ~(rows["terminals"] | rows["timeouts"])[:-1]
    np.testing.assert_array_equal(rows["observations"][1:][going_on], rows["next_observations"][:-1][going_on])
    np.testing.assert_array_equal(rows["observations"][:, :5], rows["infos/qpos"][:, 1:])
    # Uniform actions at first, then those of a policy.
    np.testing.assert_allclose(rows["infos/action_log_probs"][:20], 3 * np.log(0.5), rtol=1e-6)
    assert len(set(rows["infos/action_log_probs"][60:])) > 50


def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(straight, tmp_path, monkeypatch):
    steps = iter(range(110))
    with monkeypatch.context() as context:
        play = EpisodeRecorder.step

        def step(self, action):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return play(self, action)

        context.setattr(EpisodeRecorder, "step", step)
        with pytest.raises(KeyboardInterrupt):
            training(tmp_path).run(never)
    resumed = training(tmp_path)
    assert len(resumed.milestones) == 1
    resumed.run(never)
    assert_same(resumed, straight)


def test_a_longer_training_continues_a_shorter_one(straight, tmp_path):
    assert training(tmp_path, train_steps=60).run(never) == straight.milestones[0]
    longer = training(tmp_path)
    longer.run(never)
    assert_same(longer, straight)


def test_a_full_replay_buffer_is_resumed_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sac_training, "_BUFFER_ROWS", 50)
    whole = training(tmp_path / "whole")
    whole.run(never)
    training(tmp_path / "broken", train_steps=120).run(never)
    resumed = training(tmp_path / "broken")
    resumed.run(never)
    assert_same(resumed, whole)


def test_the_first_milestone_that_is_enough_ends_it(straight, tmp_path):
    found = training(tmp_path, train_steps=10_000).run(lambda milestone: milestone.step >= 100)
    assert found == straight.milestones[1]


def test_finished_steps_need_no_library(straight, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    assert training(straight.folder, train_steps=100).run(never) == straight.milestones[1]


def test_a_missing_library_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ConfigError, match=r"needs the package stable-baselines3; install it with .pip install diffp"):
        training(tmp_path).run(never)


def test_another_seed_gives_another_training(straight, tmp_path):
    other = training(tmp_path, seed=1, train_steps=60)
    assert other.run(never) != straight.milestones[0]


def test_nothing_is_learned_before_its_time(tmp_path):
    idle = training(tmp_path, learning_starts=1000, train_steps=120)
    idle.run(never)
    first, second = (idle.policy(milestone).weights for milestone in idle.milestones)
    for name, weights in first.items():
        np.testing.assert_array_equal(weights, second[name])


def test_the_number_of_threads_is_restored(tmp_path, request):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)
    training(tmp_path, train_steps=60).run(never)
    assert torch.get_num_threads() == 2


def test_the_policy_is_the_one_that_the_library_saved(straight):
    last = straight.milestones[-1]
    _, parameters, _ = load_from_zip_file(straight.folder / f"sac-{last.step:08d}.zip", load_data=False)
    for name, weights in straight.policy(last).weights.items():
        np.testing.assert_array_equal(parameters["policy"][name].numpy(), weights)


def test_only_the_last_state_of_the_algorithm_is_kept(straight):
    assert [path.name for path in straight.folder.glob("sac-*")] == [f"sac-{straight.milestones[-1].step:08d}.zip"]


def test_files_of_an_unfinished_milestone_are_ignored(straight, copy):
    (copy / "rows-00000999.npz").write_bytes(b"half")
    (copy / "sac-00000999.zip").write_bytes(b"half")
    again = training(copy)
    assert_same(again, straight)


def test_another_training_in_the_folder_is_refused_by_name(copy):
    with pytest.raises(ConfigError, match="holds a training with batch_size=4, but batch_size=32 was requested"):
        training(copy, batch_size=32)


def test_every_version_that_had_a_part_is_kept(copy):
    content = json.loads((copy / "training.json").read_text())
    known = content["versions"]["torch"]
    content["versions"]["torch"] = "1"
    (copy / "training.json").write_text(json.dumps(content))
    longer = training(copy, train_steps=240)
    longer.run(never)
    assert training(copy).versions["torch"] == f"1, {known}"


def read_everything(folder):
    found = training(folder, train_steps=500)
    for milestone in found.milestones:
        found.policy(milestone)
    found.run(never)


@pytest.mark.parametrize("kind", ["training", "rows", "policy", "sac"])
@pytest.mark.parametrize("content", [b"", b"broken"])
def test_damage_is_named_with_its_remedy(copy, kind, content):
    (path,) = list(copy.glob(f"{kind}*"))[-1:]
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path.name} is missing or damaged; move .* away to train from scratch"):
        read_everything(copy)


def milestones_of(change):
    def changed(content):
        content["milestones"] = change(content["milestones"])
        return content

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: content | {"versions": 3},
        milestones_of(lambda known: known[::-1]),
        milestones_of(lambda known: [known[0] | {"step": "60"}]),
        milestones_of(lambda known: [known[0] | {"step": -1}]),
        milestones_of(lambda known: [known[0] | {"return_mean": float("nan")}]),
        milestones_of(lambda known: [known[0] | {"other": 1}]),
    ],
)
def test_milestones_that_cannot_be_are_refused(copy, change):
    path = copy / "training.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DataError, match=r"training\.json is missing or damaged"):
        read_everything(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: {key: array[:-1] for key, array in rows.items()},
        lambda rows: rows | {"rewards": rows["rewards"] * np.nan},
        lambda rows: rows | {"actions": rows["actions"][:, :1]},
        lambda rows: {key: array for key, array in rows.items() if key != "infos/qpos"},
        lambda rows: rows | {"rewards": np.array(["a"] * len(rows["rewards"]))},
    ],
)
def test_rows_of_another_shape_are_refused(copy, change):
    path = sorted(copy.glob("rows-*"))[0]
    with np.load(path) as rows:
        np.savez_compressed(path, **change(dict(rows)))
    with pytest.raises(DataError, match=f"{path.name} is missing or damaged"):
        read_everything(copy)


def test_an_optimiser_of_another_shape_is_refused(copy, straight):
    import torch
    from stable_baselines3 import SAC

    (path,) = copy.glob("sac-*")
    env = EpisodeRecorder(make_env("hopper-medium-v2"))
    sac = SAC("MlpPolicy", env, policy_kwargs={"net_arch": [8, 8]}, device="cpu", buffer_size=10)
    weight = sac.actor.optimizer.param_groups[0]["params"][0]
    sac.actor.optimizer.state[weight] = {
        "step": torch.tensor(1.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)
    }  # fmt: skip
    sac.save(path)
    with pytest.raises(DataError, match=f"{path.name} is missing or damaged"):
        training(copy, train_steps=500).run(never)


def test_a_pipe_in_the_folder_is_not_waited_for(copy):
    path = sorted(copy.glob("policy-*"))[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=f"{path.name} is missing or damaged"):
        read_everything(copy)


def test_what_a_killed_training_left_half_written_is_removed(copy):
    partial = copy / ".rows-00000060.npz.abc.partial"
    partial.write_bytes(b"half")
    training(copy, train_steps=240).run(never)
    assert not partial.exists()


def test_a_second_process_waits_and_takes_over_what_the_first_did(straight, tmp_path):
    waiting = training(tmp_path)
    with FileLock(tmp_path / ".training.json.lock"):
        thread = threading.Thread(target=waiting.run, args=(never,))
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        for path in straight.folder.iterdir():
            if not path.name.startswith("."):
                (tmp_path / path.name).write_bytes(path.read_bytes())
    thread.join(timeout=60)
    assert waiting.milestones == straight.milestones


def test_a_folder_that_cannot_be_made_gives_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        training(tmp_path / "file" / "below").run(never)
