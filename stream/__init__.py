"""How samples come to be and are learned: records, log, sources, join, learner, checkpoints."""
