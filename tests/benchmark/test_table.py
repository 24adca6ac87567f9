"""How long a table of many results takes. Never pass or fail; run with ``make benchmark``."""

import time

import numpy as np
import pytest

from diffplan.cli.app import main
from diffplan.report.paper_table import PaperTable
from diffplan.report.results import read_results
from diffplan.report.statistics import ScoreStatistics
from tests.report.conftest import make_episodes, make_result, write_result

pytestmark = pytest.mark.benchmark
FILES, EPISODES = 500, 150


def test_tables_of_500_results(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [row for number in (1, 2) for row in PaperTable.read(number).rows]
    ballast = {f"callbacks.setting{number}": [number] * 10 for number in range(300)}  # as long as a real config
    for number in range(FILES):
        row, seed = rows[number % len(rows)], number // len(rows)
        protocols = {row.protocol: make_episodes(rng.normal(80, 20, EPISODES).round(6).tolist())}
        result = make_result(seed=seed, task=row.task, protocols=protocols, settings=ballast, name=f"run{seed % 3}")
        write_result(result, tmp_path / f"run{number}")
    start = time.perf_counter()
    found = read_results(tmp_path)
    read = time.perf_counter()
    main(["table", "--results", str(tmp_path), "--format", "markdown"])
    assert len(found.results) == FILES
    done = time.perf_counter()
    capsys.readouterr()
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.json")) / 1e6
    with capsys.disabled():
        print(f"\n{FILES} files, {size:.1f} MB: read in {read - start:.2f} s, tables in {done - read:.2f} s in all")


def test_statistics_of_300_episodes(capsys):
    scores = {seed: np.random.default_rng(seed).normal(size=100) for seed in range(3)}
    start = time.perf_counter()
    for _ in range(10):
        ScoreStatistics.of(scores)
    with capsys.disabled():
        print(f"\nstatistics of 3 seeds x 100 episodes: {(time.perf_counter() - start) * 100:.0f} ms")
