"""Durable steps of a round."""
