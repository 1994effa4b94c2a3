"""Fine-tuning engines."""
