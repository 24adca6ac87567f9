"""A run made before the package was sorted into rooms is still read, planned with and compared.

``golden/first_format`` is what ``diffplan-train experiment=hopper_on_cpu`` of commit 9c4e288 left after 20 steps
of tiny networks on collected hopper data.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffplan.config.settings import result_hash
from diffplan.run.result import Result

FIRST = Path(__file__).parent / "golden" / "first_format"


def test_its_checkpoints_plan_as_they_did(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")
    words = [f"checkpoint={tmp_path}/run", f"paths.run_dir={tmp_path}/plan", "num_episodes=2", "num_videos=0"]
    command = [sys.executable, "-m", "diffplan.cli.plan", *words, "num_threads=1"]
    environment = {**os.environ, "WANDB_MODE": "offline"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "plan" / "results.json").read_text())
    episodes = result["protocols"]["single_task"]
    # What commit 9c4e288 played; other processors round otherwise.
    assert episodes["returns"] == pytest.approx([62.568431436378724, 61.288927000767], rel=1e-2)
    assert episodes["lengths"] == [38, 37]


def test_its_result_has_the_hash_that_was_stored():
    content = (FIRST / "results.json").read_bytes()
    assert result_hash(Result.parse(content).config) == json.loads(content)["config_hash"]
