"""The command line: one verb a file; each reads, calls, writes and shows."""
