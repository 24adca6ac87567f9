from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.paths import CONF_DIR
from diffplan.resolvers import register_resolvers

SWEEPS = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_key_and_value_of_a_sweep_composes(path):
    register_resolvers()
    sweep = yaml.safe_load(path.read_text())
    fixed = [word for word in sweep["command"][1:] if not word.startswith("${")]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        for key, choice in sweep["parameters"].items():
            for value in choice["values"]:
                config = compose("train", overrides=[*fixed, f"{key}={value}"])
                assert OmegaConf.select(config, key) == value
