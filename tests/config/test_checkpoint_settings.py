import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffplan.config.checkpoint_settings import checkpoint_settings
from diffplan.config.parts import with_targets
from diffplan.errors import CheckpointError

FIRST = Path(__file__).parents[1] / "golden" / "first_format" / "checkpoints" / "last.ckpt"


def test_the_settings_of_a_checkpoint_are_read_without_torch():
    expected = with_targets(torch.load(FIRST, weights_only=True)["diffplan"]["config"])
    assert checkpoint_settings(FIRST) == expected
    program = (
        "import sys; from pathlib import Path; from diffplan.config.checkpoint_settings import checkpoint_settings;"
        f"assert checkpoint_settings(Path({str(FIRST)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("content", [b"", b"no archive", FIRST.read_bytes()[:2000]])
def test_a_file_that_is_no_checkpoint_has_none(content, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match="is truncated or not a checkpoint"):
        checkpoint_settings(tmp_path / "last.ckpt")


def test_a_checkpoint_of_another_project_has_none(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="is no checkpoint of diffplan"):
        checkpoint_settings(tmp_path / "last.ckpt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"diffplan": {"config": {"seed": 1, "attack": Attack()}}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"config\.attack must be"):
        checkpoint_settings(tmp_path / "last.ckpt")
    assert not (tmp_path / "touched").exists()
