"""Where artifacts and versions are: a store or a model server."""
