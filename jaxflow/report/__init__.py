"""Results for people: the page, and the terminal."""
