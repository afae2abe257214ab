"""Any PyTorch model of transformers as a Model: passes, hooks, heads, gradients of attention."""
