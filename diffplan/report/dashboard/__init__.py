"""One page, or W&B's panels, about many runs."""
