"""Results on disk: atomic files, Arrow tables, manifests, and how a folder is read."""
