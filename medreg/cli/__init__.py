"""The command line: one verb a file, which reads its options and shows; the work is done by `tasks`."""
