"""Networks that compute the same as trained ones, with fewer multiplications for short plans."""
