"""What fine-tuning changes in attention: pretrained models beside their fine-tuned selves."""
