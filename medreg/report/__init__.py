"""What a run tells: the record of `run.json`, the live progress, the summary."""
