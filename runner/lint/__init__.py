"""Whether steps follow the template, and what in them will go wrong: found without a server."""
