"""Spark on real clusters of this machine: standalone, and YARN."""
