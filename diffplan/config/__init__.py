"""What settings mean and whether they are valid."""
