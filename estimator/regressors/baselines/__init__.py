"""What others do, as banks: to be scored by the same protocol, not to be served."""
