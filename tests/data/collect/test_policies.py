import pickle
import zipfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from diffplan.data.collect.policies import SquashedGaussianPolicy, UniformPolicy
from diffplan.errors import DataError


def sac(**policy_kwargs) -> SAC:
    env = gymnasium.make("Pendulum-v1")
    return SAC("MlpPolicy", env, buffer_size=10, policy_kwargs={"net_arch": [16, 8], **policy_kwargs}, seed=0)


@pytest.fixture
def saved(tmp_path):
    model = sac()
    model.save(tmp_path / "sac.zip")
    return model, tmp_path / "sac.zip"


def test_actions_and_densities_are_stable_baselines3s(saved):
    model, path = saved
    policy = SquashedGaussianPolicy.from_zip(path)
    assert (policy.observation_dim, policy.action_dim) == (3, 1)
    actor = model.policy.actor
    for index in range(20):
        observation = np.random.default_rng(index).normal(size=3).astype(np.float32) * 3
        choice = policy.sample(observation, np.random.default_rng(index))
        noise = torch.from_numpy(np.random.default_rng(index).standard_normal(1, dtype=np.float32))
        with torch.no_grad():
            mean, log_std, _ = actor.get_action_dist_params(torch.from_numpy(observation[None]))
            gaussian = mean + log_std.exp() * noise
            distribution = actor.action_dist.proba_distribution(mean, log_std)
            log_probability = distribution.log_prob(torch.tanh(gaussian), gaussian)
        # Single precision, in another order of summation.
        np.testing.assert_allclose(choice.action, torch.tanh(gaussian)[0], rtol=0, atol=1e-5)
        assert choice.log_probability == pytest.approx(float(log_probability), abs=1e-3)


def test_saturated_actions_have_a_finite_density(saved):
    policy = SquashedGaussianPolicy.from_zip(saved[1])
    weights = {**policy.weights, "actor.mu.bias": np.full(1, 100.0, np.float32)}
    choice = SquashedGaussianPolicy(weights, "test").sample(np.zeros(3, np.float32), np.random.default_rng(0))
    assert choice.action == 1.0
    assert np.isfinite(choice.log_probability)


@pytest.mark.parametrize("missing", ["actor.mu.bias", "actor.log_std.weight", "actor.latent_pi.2.bias"])
def test_missing_weights_are_named(saved, missing):
    weights = dict(SquashedGaussianPolicy.from_zip(saved[1]).weights)
    del weights[missing]
    with pytest.raises(DataError, match=f"'{missing.rsplit('.', 1)[0]}' is missing"):
        SquashedGaussianPolicy(weights, "test")


def test_weights_that_do_not_fit_are_refused(saved):
    weights = dict(SquashedGaussianPolicy.from_zip(saved[1]).weights)
    weights["actor.mu.weight"] = np.zeros((1, 7), np.float32)
    with pytest.raises(DataError, match=r"'actor\.mu' must take 8 inputs"):
        SquashedGaussianPolicy(weights, "test")


def test_another_activation_is_refused(tmp_path):
    sac(activation_fn=torch.nn.Tanh).save(tmp_path / "tanh.zip")
    with pytest.raises(DataError, match="must hold a policy with ReLU"):
        SquashedGaussianPolicy.from_zip(tmp_path / "tanh.zip")


def test_a_zip_with_other_objects_is_refused(tmp_path):
    torch.save({"actor.mu.weight": Path("any object")}, tmp_path / "policy.pth")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.write(tmp_path / "policy.pth", "policy.pth")
        archive.writestr("data", "{}")
    with pytest.raises(DataError, match="is not a policy that stable-baselines3 saved"):
        SquashedGaussianPolicy.from_zip(tmp_path / "other.zip")


class Intruder:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "I was here"))


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_file_is_never_run(tmp_path, save):
    trace = tmp_path / "trace"
    save({"actor.mu.weight": Intruder(trace)}, tmp_path / "policy.pth")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.write(tmp_path / "policy.pth", "policy.pth")
        archive.writestr("data", "{}")
    with pytest.raises(DataError, match="is not a policy that stable-baselines3 saved"):
        SquashedGaussianPolicy.from_zip(tmp_path / "other.zip")
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "file.zip").write_bytes(content)
    with pytest.raises(DataError, match="is not a policy that stable-baselines3 saved"):
        SquashedGaussianPolicy.from_zip(tmp_path / "file.zip")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*nothing\.zip"):
        SquashedGaussianPolicy.from_zip(tmp_path / "nothing.zip")


def test_uniform_actions_are_uniform_and_their_density_is_exact():
    policy, generator = UniformPolicy(3), np.random.default_rng(0)
    choices = [policy.sample(np.zeros(11, np.float32), generator) for _ in range(3000)]
    actions = np.stack([choice.action for choice in choices])
    assert np.abs(actions).max() <= 1.0
    # Five standard errors of the mean and of the variance 1/3 of a uniform variable.
    assert np.abs(actions.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 3000)
    assert np.abs(actions.var(axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 3000)
    assert choices[0].log_probability == pytest.approx(np.log(1 / 8))
