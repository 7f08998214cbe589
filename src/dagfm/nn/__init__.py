"""Networks that map field embeddings (B, F, D) to logits (B,), and the embedding before them."""
