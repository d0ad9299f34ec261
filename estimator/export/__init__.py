"""Kepler's own series for machines that cannot measure: one page, scraped in Kepler's place."""
