"""From samples to models: shards, checkpoints, publishing, the worker that does it all."""
