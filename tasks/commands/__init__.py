"""The bodies of the command line: one module a command, imported when it is called. Each `run` returns an exit code."""
