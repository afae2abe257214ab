"""Attention flow: maximum flows through the layered graph, bounded on the device and solved exactly on the host."""
