"""Models that learn: experts weighed by their errors, guards, drift, what was said in time."""
