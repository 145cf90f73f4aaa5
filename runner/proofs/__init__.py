"""Proofs of steps: reruns, counts, orders of days, and counterexamples made small."""
