"""Synthetic source files of days: the shipped small ones and any number of large ones."""
