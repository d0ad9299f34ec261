"""A real Prometheus on loopback, and a simulated Kepler for it to scrape."""
