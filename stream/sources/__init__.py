"""Where records come from: exporters, kernel files, recorded traces, a simulated node."""
