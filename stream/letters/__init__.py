"""Dead letters: records that could not be read, and their way back."""
