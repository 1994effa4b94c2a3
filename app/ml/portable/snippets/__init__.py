"""What travels in a model's folder: scripts that need nothing of Linecall. They are copied as they stand."""
