"""Pre-labellers: few-shot by embedding, a local language model, a remote one."""
