"""What Kepler and kepler-model-server's clients ask: weights and names of models."""
