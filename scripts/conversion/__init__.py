"""Old weights into Hugging Face folders: what reads them, what knows where they are, what writes them."""
