"""The verb-number task of Abnar & Zuidema (2020): from the words before a verb, singular (VBZ) or plural (VBP)."""
