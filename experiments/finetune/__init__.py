"""Fine-tuning of a pretrained encoder: sentiment, entailment, question answering, paraphrase."""
