"""Runs that are killed, cut off and starved at every statement, and what must hold afterwards."""
