"""What faces people and Kepler by HTTP and on the terminal: model server, status page, commands."""
