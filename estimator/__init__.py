"""What a power model is: vocabulary, regressors, artifacts, the store, prediction, the socket.

Importing this package loads neither river nor pandas: the estimator is a sidecar on every node.

What other programs may import of this package and of ``stream`` is in ``docs/reference/python.md``.
"""

__version__ = "0.1.0"
