"""Where an error of the server stands in SQL files, to the character."""
