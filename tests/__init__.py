"""Tests of edgebotd; the folders mirror the package."""
