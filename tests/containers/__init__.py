"""The runner and a PostgreSQL in a container, as a new user has them."""
