"""Statistics: ranks and agreement, distances of distributions, intervals, and tests."""
