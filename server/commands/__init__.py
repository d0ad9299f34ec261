"""The commands: what a person or a service manager starts. Each loads only what it needs."""
