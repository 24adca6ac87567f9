"""Writes what rliable 1.2.0 says of made-up scores; needs an environment of its own, with pandas before 3.

python -m venv oracle && oracle/bin/pip install rliable==1.2.0 "pandas<3" arch==7.2.0
oracle/bin/python tests/golden/make_rliable_golden.py
"""

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

RESAMPLES = 20000


def made_up(seed: int, num_runs: int, num_tasks: int) -> np.ndarray:
    """Skewed scores with ties, tasks of different difficulty."""
    rng = np.random.default_rng(seed)
    return np.round(rng.gamma(3.0, 20.0, (num_runs, num_tasks)) + 10 * np.arange(num_tasks), 1)


def main() -> None:
    """Writes ``rliable_1_2_0.json`` beside this file."""
    golden = []
    for seed, (num_runs, num_tasks) in enumerate([(11, 1), (40, 1), (20, 3), (10, 5)]):
        scores = made_up(seed, num_runs, num_tasks)
        estimates, intervals = library.get_interval_estimates(
            {"ours": scores},
            lambda table: np.array([metrics.aggregate_iqm(table), metrics.aggregate_mean(table)]),
            reps=RESAMPLES,
            random_state=np.random.RandomState(0),
        )
        theirs = made_up(100 + seed, num_runs + 2, num_tasks)
        improvement = metrics.probability_of_improvement(scores, theirs)
        golden.append(
            {
                "scores": scores.tolist(),
                "theirs": theirs.tolist(),
                "iqm": float(estimates["ours"][0]),
                "mean": float(estimates["ours"][1]),
                "iqm_interval": intervals["ours"][:, 0].tolist(),
                "mean_interval": intervals["ours"][:, 1].tolist(),
                "probability_of_improvement": float(improvement),
            }
        )
    path = Path(__file__).with_name("rliable_1_2_0.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
