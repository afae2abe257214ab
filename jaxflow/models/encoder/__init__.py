"""The one Encoder: its parts, layers and heads, over texts and over images; decoders and vision are options of it."""
