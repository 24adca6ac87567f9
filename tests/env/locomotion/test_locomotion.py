"""Hopper, walker and half-cheetah against MuJoCo 2.3.2, before margins added up, and their rewards by hand."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from diffplan.env.locomotion.bodies import Ant, HalfCheetah, Hopper, Walker2d
from diffplan.env.make_env import make_env

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "locomotion_mujoco_2_3_2.npz")
BODIES = {"hopper": Hopper, "walker2d": Walker2d, "halfcheetah": HalfCheetah, "ant": Ant}
# Contacts make motion chaotic, so rounding grows: in 60 steps of the half-cheetah to 5e-4.
TOLERANCE = {"hopper": 1e-9, "walker2d": 1e-9, "halfcheetah": 1e-3}


def golden(body: str, episode: int) -> dict[str, np.ndarray]:
    return {
        name: GOLDEN[f"{body}/{episode}/{name}"]
        for name in ("state", "observations", "actions", "rewards", "terminated")
    }


def replayed(env: gymnasium.Env, record: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, bool]:
    env.reset(seed=0)
    num_positions = env.unwrapped.model.nq
    env.unwrapped.set_state(record["state"][:num_positions], record["state"][num_positions:])
    steps = [env.step(action) for action in record["actions"]]
    return np.array([step[0] for step in steps]), np.array([step[1] for step in steps]), steps[-1][2]


@pytest.mark.parametrize("episode", range(3))
@pytest.mark.parametrize("body", TOLERANCE)
def test_with_exact_masses_it_moves_and_is_rewarded_as_under_mujoco_2_3_2(body, episode):
    record = golden(body, episode)
    observations, rewards, terminated = replayed(make_env(f"{body}-exact-v2"), record)
    assert observations == pytest.approx(record["observations"][1:], abs=TOLERANCE[body])
    assert rewards == pytest.approx(record["rewards"], abs=TOLERANCE[body])
    assert terminated == record["terminated"]


def test_gymnasium_s_own_hopper_moves_otherwise():
    record = golden("hopper", 0)
    record["actions"] = np.clip(record["actions"], -1, 1)
    observations, _, _ = replayed(gymnasium.make("Hopper-v5"), record)
    assert np.abs(observations - record["observations"][1:]).max() > 0.01


def test_gymnasium_s_own_walker_slips_otherwise():
    record = golden("walker2d", 1)
    record["actions"] = np.clip(record["actions"], -1, 1)
    observations, _, _ = replayed(gymnasium.make("Walker2d-v5"), record)
    assert np.abs(observations - record["observations"][1:]).max() > 0.01


@pytest.mark.parametrize("body", ["hopper", "walker2d"])
def test_the_bonus_for_being_alive_is_paid_for_the_fall_too(body):
    env = make_env(f"{body}-medium-v2")
    env.reset(seed=0)
    terminated, step = False, 0
    while not terminated:
        before, action = env.unwrapped.data.qpos[0], np.full(env.action_space.shape, 0.7)
        _, reward, terminated, _, _ = env.step(action)
        velocity = (env.unwrapped.data.qpos[0] - before) / env.unwrapped.dt
        assert reward == pytest.approx(velocity + 1.0 - 1e-3 * (action**2).sum())
        step += 1
        assert step < 1000


@pytest.mark.parametrize("body", BODIES)
def test_actions_beyond_the_motors_range_cost_and_do_what_the_range_s_end_does(body):
    rewards = []
    for scale in (1.0, 5.0):
        env = make_env(f"{body}-medium-v2")
        env.reset(seed=3)
        rewards.append([env.step(np.full(env.action_space.shape, scale))[1] for _ in range(5)])
    assert rewards[0] == rewards[1]


@pytest.mark.parametrize("body", BODIES)
def test_every_d4rl_id_of_a_body_is_the_same_environment_of_a_thousand_steps(body):
    for data in ("random", "medium", "medium-replay", "medium-expert", "expert", "full-replay"):
        env = make_env(f"{body}-{data}-v2")
        assert type(env.unwrapped) is BODIES[body]
        assert env.spec.max_episode_steps == 1000


def test_the_ant_s_contact_forces_are_zero_and_cost_nothing():
    env = make_env("ant-medium-v2")
    observation, _ = env.reset(seed=0)
    assert observation.shape == env.observation_space.shape == (111,)
    for seed in range(20):
        before, action = env.unwrapped.data.body(1).xpos[0], np.random.default_rng(seed).uniform(-1, 1, 8)
        observation, reward, *_ = env.step(action)
        velocity = (env.unwrapped.data.body(1).xpos[0] - before) / env.unwrapped.dt
        assert not observation[27:].any()
        assert reward == pytest.approx(velocity + 1.0 - 0.5 * (action**2).sum())


def test_the_half_cheetah_weighs_what_its_file_says_and_warns_of_nothing(capfd):
    env = make_env("halfcheetah-medium-v2")
    assert env.unwrapped.model.body_mass.sum() == pytest.approx(14.0)
    assert "settotalmass" not in capfd.readouterr().err


def test_a_seed_decides_the_start_alone():
    starts = [make_env("hopper-medium-v2").reset(seed=seed)[0] for seed in (1, 1, 2)]
    assert np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


@pytest.mark.parametrize("body", BODIES)
def test_any_observation_can_be_drawn_and_the_episode_goes_on_undisturbed(body):
    env, twin = (make_env(f"{body}-medium-v2", "rgb_array") for _ in range(2))
    observation, _ = env.reset(seed=0)
    twin.reset(seed=0)
    other = observation.copy()
    other[2] += 0.6
    picture = env.unwrapped.render_observation(other, root_x=2.0)
    assert picture.shape == (256, 256, 3)
    assert not np.array_equal(picture, env.render())
    action = np.full(env.action_space.shape, 0.3)
    assert np.array_equal(env.step(action)[0], twin.step(action)[0])
    for made in (env, twin):
        made.close()


def test_an_environment_without_pictures_draws_none():
    env = make_env("hopper-medium-v2")
    env.reset(seed=0)
    assert env.render() is None
