"""Registration of a pair: recipe, levels, samples, start, stages, result."""
