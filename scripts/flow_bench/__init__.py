"""The parts of bench_flow.py."""
