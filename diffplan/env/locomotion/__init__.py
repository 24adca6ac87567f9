"""D4RL's locomotion bodies on today's MuJoCo."""
