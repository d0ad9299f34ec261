"""Writes the pages anew."""

from tests.docs.reference import write

write()
