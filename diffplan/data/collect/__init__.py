"""Makes locomotion data sets of D4RL's kinds from policies that stable-baselines3 trains."""
