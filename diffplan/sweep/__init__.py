"""Many runs from one command: sweep files, their cells, and the launchers that run the cells."""
