"""Makes ``half_cheetah_v2.npz``: steps of the real HalfCheetah-v2, recorded years before the MuJoCo used here.

    python tests/golden/make_half_cheetah_golden.py <test data of BRAC as HDF5, ten episodes of HalfCheetah-v2>

The data belongs to Google Research's BRAC (Wu, Tucker, Nachum 2019), Apache-2.0; it is not D4RL's, which was recorded
with the same environment. From each episode one stretch is kept, from ever later in it.
"""

import sys
from pathlib import Path

import h5py
import numpy as np

EPISODES, EPISODE_STEPS, STEPS = 10, 1000, 22


def main() -> None:
    """Cuts the stretches out and writes them."""
    starts = [EPISODE_STEPS * episode + 40 + 95 * episode for episode in range(EPISODES)]
    with h5py.File(sys.argv[1]) as file:
        arrays = {
            "observations": np.stack([file["observations"][start : start + STEPS + 1] for start in starts]),
            "actions": np.stack([file["actions"][start : start + STEPS] for start in starts]),
            "rewards": np.stack([file["rewards"][start : start + STEPS].reshape(STEPS) for start in starts]),
        }
    np.savez_compressed(Path(__file__).with_name("half_cheetah_v2.npz"), **arrays)


if __name__ == "__main__":
    main()
