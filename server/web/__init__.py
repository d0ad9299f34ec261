"""What any application of ours stands on: errors, limits, tokens, TLS, how it is run."""
