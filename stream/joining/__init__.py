"""From usage and power records to samples."""
