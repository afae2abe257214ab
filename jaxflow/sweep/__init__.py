"""Many texts: reading them, attributing them shard by shard, and keeping the results on disk."""
