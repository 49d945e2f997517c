"""Alerts: rules that open and resolve them, and channels by which they leave the house."""
