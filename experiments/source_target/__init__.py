"""An encoder-decoder that writes dates: does a target's relevance go to the source token that it was written from?"""
