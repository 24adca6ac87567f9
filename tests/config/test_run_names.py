"""Folders and hashes that existed before the code moved are still those of the same settings."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.settings import result_hash
from diffplan.run.result import Result

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "run_names.json").read_text())


def run_dir(main, words):
    """The folder that a command with these words would work in."""
    register_resolvers()
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(main, overrides=words, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        try:
            return str(config.paths.run_dir)
        finally:
            HydraConfig.instance().cfg = before


@pytest.mark.parametrize("words", GOLDEN["runs"])
def test_a_training_has_the_folder_it_always_had(words):
    assert run_dir("train", words.split()) == GOLDEN["runs"][words]


@pytest.mark.parametrize("words", GOLDEN["plans"])
def test_an_evaluation_has_the_folder_it_always_had(words, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    folder = run_dir("plan", [f"checkpoint={tmp_path}/run", *words.split()])
    assert folder == str(tmp_path.resolve()) + GOLDEN["plans"][words]


@pytest.mark.parametrize("path", GOLDEN["results"])
def test_a_committed_result_is_compared_as_before(path):
    assert result_hash(Result.parse((ROOT / path).read_bytes()).config) == GOLDEN["results"][path]
