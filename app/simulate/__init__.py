"""Simulated experts and the sample pool."""
