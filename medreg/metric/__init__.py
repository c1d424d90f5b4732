"""Measures of how well two images agree; lower is better. One a file: the pure function first, then its fast form."""
