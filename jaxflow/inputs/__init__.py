"""What models read: texts from files, streams and memory, and sentences that were parsed."""
