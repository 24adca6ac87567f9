import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler
from diffusers.experimental import ValueGuidedRLPipeline

from diffplan.errors import CheckpointError, ConfigError, HorizonError, TaskMismatchError
from diffplan.interop import diffusers_folder as module
from diffplan.interop.diffuser_pipeline import DiffuserPipeline, DiffuserPipelineOutput
from diffplan.interop.diffusers_env import DiffusersEnv
from diffplan.method.guide import AbstractGuide, ValueGuide
from diffplan.method.sampler.guided_samplers import SampleShiftSampler
from diffplan.planner.guided_planner import GuidedPlanner
from tests.interop.test_diffusers_networks import storages

# Weights that are mapped from a file lie elsewhere in memory, so sums are taken in another order.
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_plans_begin_at_the_observation_and_come_best_first(make_pipeline, observations):
    plans = make_pipeline()(observations, num_candidates=5, generator=seeded())
    assert isinstance(plans, DiffuserPipelineOutput)
    assert plans.actions.shape == (3, 5, 8, 2)
    assert plans.observations.shape == (3, 5, 8, 4)
    assert plans.trajectories.shape == (3, 5, 8, 6)
    # Normalised and back in single precision.
    np.testing.assert_allclose(plans.observations[:, :, 0], observations[:, None].expand(3, 5, 4), atol=1e-5)
    assert (np.diff(plans.values, axis=1) <= 0).all()


def test_values_are_of_the_plans_beside_them(make_pipeline, observations):
    pipeline = make_pipeline()
    plans = pipeline(observations, num_candidates=5, generator=seeded(), output_type="pt")
    timesteps = torch.zeros(1, dtype=torch.long)
    again = pipeline.critic().values(plans.trajectories.flatten(0, 1), timesteps).reshape(3, 5)
    torch.testing.assert_close(plans.values, again, atol=1e-4, rtol=1e-5)


def test_a_maze_is_planned_from_start_to_goal(make_pipeline, observations):
    pipeline = make_pipeline(maze=True)
    # Within the range of the data, beyond which its normaliser clips.
    inside = pipeline.trajectory.offset[2:] + 0.5 * pipeline.trajectory.scale[2:] * observations.tanh()
    goals = inside.flip(0)
    plans = pipeline(inside, goals, num_candidates=2, generator=seeded())
    assert plans.values is None
    np.testing.assert_allclose(plans.observations[:, 0, 0], inside, atol=1e-5)
    np.testing.assert_allclose(plans.observations[:, 1, -1], goals, atol=1e-5)


def test_one_environment_may_come_without_its_axis_and_as_an_array(make_pipeline, observations):
    pipeline = make_pipeline()
    alone = pipeline(observations[0].double().numpy(), num_candidates=2, generator=seeded())
    batch = pipeline(observations[:1], num_candidates=2, generator=seeded())
    assert np.array_equal(alone.actions, batch.actions)


def test_goals_come_in_the_order_of_the_environments(make_pipeline, observations):
    pipeline = make_pipeline(maze=True)
    columns = pipeline.trajectory.layout.observations
    inside = pipeline.trajectory.offset[columns] + 0.5 * pipeline.trajectory.scale[columns] * observations.tanh()
    plans = pipeline(inside.numpy(), inside.flip(0).numpy(), num_candidates=3, generator=seeded())
    for candidate in range(3):
        np.testing.assert_allclose(plans.observations[:, candidate, 0], inside, atol=1e-5)
        np.testing.assert_allclose(plans.observations[:, candidate, -1], inside.flip(0), atol=1e-5)


def test_an_environment_s_plans_depend_on_its_own_generator_alone(make_pipeline, observations):
    pipeline = make_pipeline()
    batch = pipeline(observations, num_candidates=3, generator=[seeded(i) for i in range(3)])
    alone = pipeline(observations[1], num_candidates=3, generator=seeded(1))
    np.testing.assert_allclose(batch.actions[1], alone.actions[0], **CLOSE)


def test_without_a_generator_pytorch_s_seed_decides(make_pipeline, observations):
    pipeline = make_pipeline()
    actions = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        actions.append(pipeline(observations, num_candidates=2).actions)
    assert np.array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])


def test_it_plans_as_our_planner_does(make_pipeline, observations):
    pipeline = make_pipeline()
    planner = GuidedPlanner(
        pipeline.model(), pipeline.critic(), SampleShiftSampler(pipeline.scheduler),
        lambda critic: ValueGuide(critic, 0.002), num_candidates=4, fast_networks=False,
    )  # fmt: skip
    planner.reset(observations.numpy(), None, [0, 1, 2])
    actions = planner.act(observations.numpy(), np.ones(3, dtype=bool))
    plans = pipeline(observations, num_candidates=4, generator=[seeded(i) for i in range(3)])
    np.testing.assert_allclose(plans.actions[:, 0, 0], actions, atol=1e-6)


def test_fast_networks_draw_the_same_plans_on_a_copy_that_follows_the_weights(make_pipeline, observations):
    pipeline = make_pipeline()

    def values(**settings):
        return pipeline(observations, num_candidates=4, generator=torch.Generator().manual_seed(0), **settings).values

    trained = values()
    pipeline.enable_fast_networks()
    assert not np.array_equal(values(), trained)
    np.testing.assert_allclose(values(), trained, **CLOSE)
    with torch.no_grad():
        next(pipeline.value_function.parameters()).mul_(2)
    changed = values()
    assert not np.allclose(changed, trained, **CLOSE)
    pipeline.disable_fast_networks()
    np.testing.assert_allclose(values(), changed, **CLOSE)


def test_the_three_rules_steer_differently_and_alike_at_scale_zero(make_pipeline, observations):
    pipeline, rules = make_pipeline(), ("sample_shift", "mean_shift", "diffusers_pipeline")

    def actions(rule: str, scale: float) -> np.ndarray:
        settings = {"num_candidates": 2, "guidance_rule": rule, "guidance_scale": scale}
        return pipeline(observations, generator=seeded(), **settings).actions

    unguided = [actions(rule, 0.0) for rule in rules]
    guided = [actions(rule, 0.01) for rule in rules]
    assert np.array_equal(unguided[0], unguided[1])
    assert np.array_equal(unguided[0], unguided[2])
    for index, result in enumerate(guided):
        assert all(np.abs(result - other).max() > 1e-3 for other in [unguided[0], *guided[:index]])


class Upwards(AbstractGuide):
    """Wants the first observation column large, in normalised units."""

    num_steps = 1

    def acts_at(self, timestep):
        return timestep >= 2

    def shift(self, trajectories, timestep, variance, given):
        self.steered.append(int(timestep))
        towards = torch.zeros_like(trajectories)
        towards[..., 2] = 1.0
        return towards

    def values(self, trajectories, timestep):
        return trajectories[..., 2].mean(dim=1)


@pytest.mark.parametrize("maze", [False, True])
def test_a_guide_that_is_given_steers_and_ranks_in_place_of_the_critic(make_pipeline, observations, maze):
    pipeline, guide = make_pipeline(maze), Upwards(None)
    guide.steered = []
    given = {"num_candidates": 4, "goals": observations.flip(0) if maze else None}
    before = pipeline(observations, generator=seeded(), **given)
    plans = pipeline(observations, generator=seeded(), guide=guide, **given)
    assert guide.steered == [5, 4, 3, 2]
    assert (plans.trajectories[:, :, 1:-1] != before.trajectories[:, :, 1:-1]).any()
    assert (np.diff(plans.values, axis=1) <= 0).all()
    np.testing.assert_allclose(plans.values, plans.trajectories[..., 2].mean(dim=2), atol=1e-6)
    with pytest.raises(ConfigError, match="a guide that is given has its own"):
        pipeline(observations, guide=guide, guidance_scale=0.1, **given)


@pytest.mark.parametrize("num_steps", [1, 2, 6])
@pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler])
def test_another_scheduler_is_put_in_its_place_and_guided(make_pipeline, observations, scheduler, num_steps):
    pipeline = make_pipeline()
    settings = {"timestep_spacing": "trailing", "final_sigmas_type": "zero"}
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **settings)
    seen = []

    def note(pipe, step, timestep, tensors):
        seen.append(int(timestep))

    plans = pipeline(
        observations, num_candidates=2, num_inference_steps=num_steps, generator=seeded(), callback_on_step_end=note
    )
    assert np.isfinite(plans.actions).all()
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == num_steps


def test_a_callback_sees_every_step_and_may_change_it(make_pipeline, observations):
    pipeline, seen = make_pipeline(), []

    def halve(pipe, step, timestep, tensors):
        seen.append((pipe is pipeline, step, int(timestep)))
        return {"trajectories": tensors["trajectories"] * 0.0} if step == 4 else {}

    one = pipeline(observations, num_candidates=2, generator=seeded(0), callback_on_step_end=halve)
    assert seen == [(True, step, 5 - step) for step in range(6)]
    other = pipeline(observations, num_candidates=2, generator=seeded(1), callback_on_step_end=halve)
    # The last step adds no noise, so what is left of two seeds' noise is nothing.
    assert np.array_equal(one.actions, other.actions)
    np.testing.assert_allclose(one.observations[:, 0, 0], observations, atol=1e-5)


def test_a_warm_start_stays_closer_to_its_plan_the_fewer_steps_it_takes(make_pipeline, observations):
    pipeline = make_pipeline()
    before = pipeline(observations, num_candidates=1, generator=seeded(), guidance_scale=0.0)
    seen = []

    def note(pipe, step, timestep, tensors):
        seen.append(int(timestep))

    pipeline(
        observations, num_candidates=2, warm_start=before.trajectories[:, 0], num_warm_start_steps=2,
        generator=seeded(), callback_on_step_end=note,
    )  # fmt: skip
    assert seen == [1, 0]


def test_given_noise_takes_the_place_of_drawn_noise(make_pipeline, observations):
    pipeline = make_pipeline()
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    noise = torch.randn(6, 8, 6)
    one = pipeline(observations, num_candidates=2, noise=noise, generator=seeded(0))
    other = pipeline(observations, num_candidates=2, noise=noise, generator=seeded(1))
    assert np.array_equal(one.actions, other.actions)


def test_a_tuple_and_tensors_hold_the_same(make_pipeline, observations):
    pipeline = make_pipeline()
    plans = pipeline(observations, num_candidates=2, generator=seeded(), output_type="pt")
    assert isinstance(plans.actions, torch.Tensor)
    as_tuple = pipeline(observations, num_candidates=2, generator=seeded(), return_dict=False)
    assert np.array_equal(as_tuple[0], plans.actions.numpy())


def test_it_is_saved_and_loaded_whole(make_pipeline, observations, tmp_path):
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path)
    loaded = DiffuserPipeline.from_pretrained(tmp_path)
    assert isinstance(loaded, DiffusionPipeline)
    loaded.set_progress_bar_config(disable=True)
    one, other = (each(observations, num_candidates=3, generator=seeded()) for each in (pipeline, loaded))
    np.testing.assert_allclose(one.actions, other.actions, **CLOSE)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("settings", [{"attention": True}, {"kernel_size": 3}], ids=["attention", "kernel"])
def test_what_diffusers_cannot_express_is_saved_and_loaded_too(make_pipeline, observations, tmp_path, settings):
    pipeline = make_pipeline(**settings)
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["_class_name"] == "DiffuserPipeline"
    assert index["unet"][1] == "DenoiserModel"
    loaded = DiffuserPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    one, other = (each(observations, num_candidates=2, generator=seeded()) for each in (pipeline, loaded))
    np.testing.assert_allclose(one.actions, other.actions, **CLOSE)


def test_a_name_is_fetched_from_the_hub_without_pickles(make_pipeline, tmp_path, monkeypatch):
    make_pipeline().save_pretrained(tmp_path)
    asked = {}
    # The Hub itself cannot be asked here; what it would be asked is looked at.
    monkeypatch.setattr(module, "snapshot_download", lambda name, **how: asked.update(name=name, **how) or tmp_path)
    DiffuserPipeline.from_pretrained("somebody/hopper", revision="main")
    assert (asked["name"], asked["revision"]) == ("somebody/hopper", "main")
    assert not any("bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])


def test_the_index_names_diffusers_pipeline_only_where_it_can_load_both_networks(make_pipeline, tmp_path):
    for number, (settings, name) in enumerate(
        [({}, "ValueGuidedRLPipeline"), ({"attention": True}, "DiffuserPipeline"), ({"maze": True}, "DiffuserPipeline")]
    ):
        make_pipeline(**settings).save_pretrained(tmp_path / str(number))
        index = json.loads((tmp_path / str(number) / "model_index.json").read_text())
        assert index["_class_name"] == name
        assert "trajectory" not in index


@pytest.mark.parametrize("place", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_a_folder_names_no_module_and_builds_known_classes_alone(make_pipeline, tmp_path, place):
    make_pipeline(attention=True).save_pretrained(tmp_path)
    assert "diffplan." not in (tmp_path / "model_index.json").read_text()
    config = json.loads((tmp_path / place).read_text())
    (tmp_path / place).write_text(json.dumps(config | {"_class_name": "subprocess.Popen"}))
    with pytest.raises(CheckpointError, match=r"known are UNet1DModel|diffusers does not have"):
        DiffuserPipeline.from_pretrained(tmp_path)


def test_a_folder_made_before_with_the_import_paths_of_that_time_is_read(make_pipeline, observations, tmp_path):
    pipeline = make_pipeline(attention=True)
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["unet"][0] = "diffplan.interop.denoiser_model"
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    loaded = DiffuserPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    one, other = (each(observations, num_candidates=2, generator=seeded()) for each in (pipeline, loaded))
    np.testing.assert_allclose(one.actions, other.actions, **CLOSE)


def test_components_serve_many_pipelines_and_planners_without_a_copy(make_pipeline):
    pipeline = make_pipeline()
    other = DiffuserPipeline(**pipeline.components)
    assert other.unet is pipeline.unet
    theirs = ValueGuidedRLPipeline(
        pipeline.value_function, pipeline.unet, pipeline.scheduler, DiffusersEnv(pipeline.trajectory)
    )
    planner = GuidedPlanner(
        other.model(), other.critic(), SampleShiftSampler(other.scheduler), lambda critic: ValueGuide(critic, 0.1),
        fast_networks=False,
    )  # fmt: skip
    networks = [pipeline.unet, pipeline.value_function, theirs.unet, theirs.value_function]
    networks += [planner.model.backbone, planner.guide.critic.backbone, pipeline.model().backbone]
    once = sum(p.numel() * p.element_size() for n in networks[:2] for p in n.parameters())
    unique = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for n in networks for p in n.parameters()}
    assert storages(*networks) == storages(*networks[:2])
    assert sum(unique.values()) == once


def test_it_moves_as_a_whole(make_pipeline):
    pipeline = make_pipeline().to(torch.float64)
    assert {component.dtype for component in (pipeline.unet, pipeline.value_function, pipeline.trajectory)} == {
        torch.float64
    }
    assert pipeline.model().backbone.head[1].weight.dtype == torch.float64


def test_it_is_pushed_to_the_hub_as_it_is_saved(make_pipeline, monkeypatch):
    pipeline, uploaded = make_pipeline(), {}

    # The Hub itself cannot be asked here; what would be sent is looked at.
    def upload(self, folder, repo_id, **settings):
        uploaded[repo_id] = DiffuserPipeline.from_pretrained(folder).trajectory.config.task

    monkeypatch.setattr(
        "diffusers.utils.hub_utils.create_repo", lambda repo_id, **s: type("Repo", (), {"repo_id": repo_id})
    )
    monkeypatch.setattr("diffusers.utils.hub_utils.load_or_create_model_card", lambda *a, **s: _Card())
    monkeypatch.setattr("diffusers.utils.hub_utils.populate_model_card", lambda card: card)
    monkeypatch.setattr(DiffuserPipeline, "_upload_folder", upload)
    pipeline.push_to_hub("somebody/hopper")
    assert uploaded == {"somebody/hopper": "hopper-medium-v2"}


class _Card:
    def save(self, path):
        return None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"goals": torch.zeros(3, 4)}, ConfigError, "FirstState and takes no goals"),
        ({"observations": torch.zeros(3, 5)}, ConfigError, r"shape \(environments, 4\), got \(3, 5\)"),
        ({"num_candidates": 0}, ConfigError, "at least 1"),
        ({"num_inference_steps": 7}, ConfigError, "between 1 and the 6 diffusion steps"),
        ({"num_warm_start_steps": 2}, ConfigError, "given together"),
        ({"horizon": 7}, HorizonError, "multiple of 2"),
        ({"horizon": 16}, HorizonError, "plans of 8 rows only"),
        ({"callback_on_step_end_tensor_inputs": ["latents"]}, ConfigError, "has no 'latents'"),
        ({"guidance_rule": "diffusers_pipeline", "t_stopgrad": 1}, ConfigError, r"guide\.t_stopgrad=2"),
    ],
)  # fmt: skip
def test_settings_that_cannot_run_are_refused(make_pipeline, observations, settings, error, message):
    with pytest.raises(error, match=message):
        make_pipeline()(**{"observations": observations, "num_candidates": 2, **settings})


def test_a_scheduler_of_other_noise_is_refused(make_pipeline, observations):
    pipeline = make_pipeline()
    for settings, message in (
        ({"num_train_timesteps": 100}, "trained with 6 diffusion steps, but the scheduler has num_train_timesteps=100"),
        ({"beta_schedule": "linear"}, "another noise schedule"),
        ({"prediction_type": "epsilon"}, "prediction_type=sample, but the scheduler has epsilon"),
    ):
        other = DiffuserPipeline(**pipeline.components)
        other.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **settings)
        with pytest.raises(TaskMismatchError, match=message):
            other(observations)


def test_guidance_without_a_value_function_is_refused(make_pipeline, observations):
    pipeline = make_pipeline(maze=True)
    with pytest.raises(ConfigError, match="needs a value function"):
        pipeline(observations, observations, guidance_scale=0.1)
    with pytest.raises(ConfigError, match="needs goals"):
        pipeline(observations)


def test_half_precision_is_refused_with_what_to_do(make_pipeline, observations):
    with pytest.raises(ConfigError, match=r"drawn in torch\.float32.*torch\.float16"):
        make_pipeline().to(torch.float16)(observations)


def test_a_folder_without_statistics_is_refused(make_pipeline, tmp_path):
    pipeline = make_pipeline()
    theirs = ValueGuidedRLPipeline(
        pipeline.value_function, pipeline.unet, pipeline.scheduler, DiffusersEnv(pipeline.trajectory)
    )
    theirs.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="has no folder 'trajectory'"):
        DiffuserPipeline.from_pretrained(tmp_path)
    given = DiffuserPipeline.from_pretrained(tmp_path, trajectory=pipeline.trajectory)
    assert given.trajectory is pipeline.trajectory
