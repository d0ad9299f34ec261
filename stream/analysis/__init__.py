"""What was recorded, for who wants to know: samples, errors, tables, pictures."""
