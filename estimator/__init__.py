"""What a power model is: vocabulary, regressors, artifacts, the store, prediction, the socket.

Importing this package loads neither river nor pandas: the estimator is a sidecar on every node.
"""

__version__ = "0.1.0"
