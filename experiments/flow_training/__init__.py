"""Training with flow: a term of the loss that sends relevance to known evidence, and what it does for the model."""
