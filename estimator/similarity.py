"""Which known node type is most like a machine: kepler-model-server's search."""

from __future__ import annotations
