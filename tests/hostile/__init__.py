"""Input, files and neighbours that mean harm, or look as if they did."""
