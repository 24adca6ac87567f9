import gymnasium
import numpy as np
import pytest

from diffplan.env.make_env import env_version, make_env, register_environments
from diffplan.errors import EnvironmentIdError


@pytest.mark.parametrize(("maze", "steps"), [("open", 150), ("umaze", 300), ("medium", 600), ("large", 800)])
@pytest.mark.parametrize("infix", ["", "-dense"])
def test_every_d4rl_id_has_its_maze_reward_and_episode_length(maze, steps, infix):
    env = make_env(f"maze2d-{maze}{infix}-v1")
    assert env.spec.max_episode_steps == steps
    assert env.unwrapped.layout.name == maze
    assert env.unwrapped.reward == ("dense" if infix else "sparse")


def test_an_episode_is_truncated_at_its_length_and_never_terminates():
    env = make_env("maze2d-umaze-v1")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(300)]
    assert ends == [(False, False)] * 299 + [(False, True)]


def test_registering_twice_changes_nothing():
    before = gymnasium.spec("maze2d-umaze-v1")
    register_environments()
    assert gymnasium.spec("maze2d-umaze-v1") is before


def test_an_unknown_id_suggests_a_close_one():
    with pytest.raises(EnvironmentIdError, match="'maze2d-medium-v1'"):
        make_env("maze2d-medum-v1")


def test_a_render_mode_is_passed_on():
    env = make_env("maze2d-umaze-v1", "rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (256, 256, 3)


def test_what_a_result_depends_on_is_recorded():
    version = env_version("hopper-medium-expert-v2")
    assert version["class"] == "diffplan.env.locomotion.bodies.Hopper"
    assert "alive bonus" in version["corrections"]
    assert version["mujoco"].count(".") == 2
    assert env_version("maze2d-umaze-v1")["class"].endswith("Maze2D")


def test_the_record_says_which_masses_were_used():
    assert "capsule masses" in env_version("walker2d-expert-v2")["corrections"]
    assert "capsule masses" not in env_version("walker2d-exact-v2")["corrections"]
