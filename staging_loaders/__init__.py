"""Load the files of a day into the `stg_*` tables: each entity is declared as data, read by one loader."""
