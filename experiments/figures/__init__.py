"""The paper's figures 1 to 4 for a pretrained encoder: layered graphs, maps of [CLS], entropy by layer."""
