"""How often flow is saturated in real models, and how much of joint flow's ranking is the graph's."""
