"""Steps with a fault each, which the proofs must find."""
