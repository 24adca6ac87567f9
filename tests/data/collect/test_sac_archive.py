import json

import numpy as np
import pytest
import torch

from diffplan.data.collect.sac_archive import SacArchive
from diffplan.data.collect.sac_milestone import SacMilestone
from diffplan.data.collect.sac_settings import SacSettings
from diffplan.errors import ConfigError, DataError

SETTINGS = SacSettings("hopper-medium-v2")
MILESTONES = [SacMilestone(step, step // 2, 1.0, 0.5, float(step)) for step in (4, 6)]


def actor(value: float) -> dict[str, np.ndarray]:
    shapes = {"latent_pi.0.weight": (2, 3), "latent_pi.0.bias": (2,)}
    shapes |= {f"{head}.{part}": shape for head in ("mu", "log_std") for part, shape in HEAD.items()}
    return {f"actor.{name}": np.full(shape, value, np.float32) for name, shape in shapes.items()}


HEAD = {"weight": (1, 2), "bias": (1,)}


def save(archive, milestone, first_row, version="1"):
    rows = {"rewards": np.arange(first_row, milestone.step, dtype=np.float32)}
    archive.save(milestone, actor(milestone.step), {"weights": torch.ones(2)}, rows, {"torch": version})


@pytest.fixture
def archive(tmp_path):
    archive = SacArchive(tmp_path / "archive", SETTINGS)
    save(archive, MILESTONES[0], 0)
    save(archive, MILESTONES[1], 4)
    return archive


def test_a_new_archive_reads_what_an_old_one_saved(archive):
    again = SacArchive(archive.folder, SETTINGS)
    assert again.milestones == tuple(MILESTONES)
    assert again.policy(MILESTONES[0]).weights["actor.mu.bias"] == 4.0
    assert again.rows(MILESTONES[0])["rewards"].tolist() == [0, 1, 2, 3]
    assert again.rows(MILESTONES[1])["rewards"].tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(again.learner()["weights"], torch.ones(2))


def test_only_the_last_learner_is_kept(archive):
    assert [path.name for path in archive.folder.glob("learner-*")] == ["learner-00000006.pt"]


def test_files_of_a_milestone_that_was_not_finished_do_not_count(archive):
    (archive.folder / "rows-00000009.npz").write_bytes(b"half")
    (archive.folder / "learner-00000009.pt").write_bytes(b"half")
    again = SacArchive(archive.folder, SETTINGS)
    assert again.milestones == tuple(MILESTONES)
    assert len(again.rows(MILESTONES[1])["rewards"]) == 6


def test_other_settings_are_refused_by_name(archive):
    with pytest.raises(ConfigError, match="holds a training with batch_size=256, but batch_size=32 was asked for"):
        SacArchive(archive.folder, SacSettings("hopper-medium-v2", batch_size=32))


def test_every_version_that_had_a_part_is_kept(archive):
    again = SacArchive(archive.folder, SETTINGS)
    save(again, SacMilestone(8, 4, 1.0, 0.5, 8.0), 6, version="2")
    assert SacArchive(archive.folder, SETTINGS).versions == {"torch": "1, 2"}


def read_everything(folder):
    archive = SacArchive(folder, SETTINGS)
    archive.rows(MILESTONES[1])
    archive.policy(MILESTONES[1])
    archive.learner()


@pytest.mark.parametrize("name", ["training.json", "rows-00000004.npz", "policy-00000006.npz", "learner-00000006.pt"])
@pytest.mark.parametrize("content", [b"", b"broken"])
def test_damage_is_named_with_its_remedy(archive, name, content):
    (archive.folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is missing or damaged; delete .* to train from scratch"):
        read_everything(archive.folder)


def test_the_learning_curve_is_readable(archive):
    content = json.loads((archive.folder / "training.json").read_text())
    assert [milestone["normalized_score"] for milestone in content["milestones"]] == [4.0, 6.0]
