"""How it all goes, to look at: the page, live power, metrics, health."""
