from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers


def run_folder(checkpoint, *overrides):
    """The folder of an evaluation, seen from its run."""
    register_resolvers()
    words = [f"checkpoint={checkpoint}", *overrides]
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("plan", overrides=words, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        try:
            return config.paths.run_dir
        finally:
            HydraConfig.instance().cfg = before


def ablation(*overrides):
    register_resolvers()
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        try:
            return config.ablation
        finally:
            HydraConfig.instance().cfg = before


def test_what_was_changed_is_named_and_where_data_lies_is_not():
    assert ablation("seed=3", "source.path=here/hopper.hdf5", "paths.output_dir=there") == "default"
    assert ablation("seed=3", "source.path=here/hopper.hdf5", "window.horizon=64") == "window.horizon=64"


def test_evaluations_with_different_settings_never_share_a_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("last.ckpt", "kept.ckpt"):
        (tmp_path / "checkpoints" / name).touch()
    folders = [
        run_folder(tmp_path),
        run_folder(tmp_path / "checkpoints" / "kept.ckpt"),
        run_folder(tmp_path, "num_episodes=2"),
        run_folder(tmp_path, "critic.path=a/b"),
        run_folder(tmp_path, "critic.path=a-b"),
        run_folder(tmp_path, "planner=guided_planner"),
        run_folder(tmp_path, "env_id=hopper-exact-v2"),
    ]
    assert len(set(folders)) == len(folders)


def test_a_cell_of_a_sweep_is_the_run_that_is_started_by_hand(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    by_hand = run_folder(tmp_path, "planner.horizon=8")
    assert run_folder(tmp_path, "planner.horizon=8", "sweep=mine", "objective=x", "resume=false") == by_hand
    assert run_folder(tmp_path, "planner.horizon=8", "logger=wandb_logger", "num_threads=1") == by_hand
    assert run_folder(tmp_path / "checkpoints" / "last.ckpt", "planner.horizon=8") == by_hand
    assert "/plans/planner.horizon=8-" in by_hand
