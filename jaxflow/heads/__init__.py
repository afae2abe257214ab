"""What single attention heads do: roles, importance, relations, similarity."""
