"""D4RL's locomotion environments on current MuJoCo."""
