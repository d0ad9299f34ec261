"""Our own routes of models, artifacts and versions."""
