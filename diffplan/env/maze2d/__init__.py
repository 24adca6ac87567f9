"""D4RL's mazes and the point mass in them."""
