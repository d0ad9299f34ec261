"""The offline trainer: models of what Prometheus recorded, by HTTP or by the command line."""
