"""References: ways to explain a model that are no functionals of its graph, as methods of relevance."""
