"""Models at one moment: plain arrays, the file that holds them, and what they answer."""
