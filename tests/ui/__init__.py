"""Checks of the page's sources: vendored libraries, types, catalogues of strings, contrast."""
