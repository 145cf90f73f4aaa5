"""Many runs at once: processes of the command line on one server, with and without a pooler in between."""
