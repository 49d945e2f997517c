"""The words of a text, as the search index has them. Pure."""
