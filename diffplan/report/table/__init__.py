"""Tables of scores, and what they are made of."""
