"""The command line: attribute, summarize, compare, explore and fetch."""
