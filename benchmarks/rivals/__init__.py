"""Programs that load the same records into the same columns; each is run as a process of its own by the benchmark."""
