"""Networks equal to the trained ones that need fewer multiplications for short plans."""
