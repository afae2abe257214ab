"""What the results of a sweep come to: by layer, token, position and part of speech."""
