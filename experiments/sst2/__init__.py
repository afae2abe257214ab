"""Table 3 of Abnar & Zuidema (2020): sentiment, and whether attention agrees with gradients."""
