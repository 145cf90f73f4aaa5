"""An independent model of the Zluri day: what the tables must hold, worked out plainly and slowly.

Written from the rules alone and sharing no code with the loader and the steps, so that both
have to be wrong in the same way for a test to miss it.

- `files`: the files of a day -> records; `values`, `records`: a record -> a typed row, a reject, warnings;
- `rates`: what a unit of a currency was worth; `warehouse`: applied days -> final tables;
- `compare`: the tables of a database against the model's; `strategies`: random days for Hypothesis.
"""
