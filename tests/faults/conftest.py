"""Shares the fork server and the healthy material, and lets the files of this folder import each other.

They import each other in the same way when ``run_faults.py`` is run as a script.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import ForkServer
from inputs import make_inputs


@pytest.fixture(scope="session")
def server():
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def inputs(server, tmp_path_factory):
    return make_inputs(server, tmp_path_factory.mktemp("inputs"))
