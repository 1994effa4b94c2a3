"""Models behind small protocols; heavy imports stay inside functions."""
