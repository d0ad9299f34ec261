"""What learns: experts that take samples one round at a time and freeze into plain arrays.

These modules load river; nothing that the estimator process imports may import them.
"""
