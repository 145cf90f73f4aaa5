"""Run ordered SQL files as a warehouse: one step, one transaction, one truth."""

__version__ = "0.1.0"
