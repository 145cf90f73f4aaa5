"""One module a command: `configure(parser)` names its options, `run(args, settings)` returns the exit code."""
