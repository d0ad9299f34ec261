"""Models from elsewhere and for elsewhere: Kepler's weights, kepler-model-db's layout."""
