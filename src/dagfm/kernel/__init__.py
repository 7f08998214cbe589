"""The compiled kernel: DAGFM's logits and gradients near the processor's peak, where a C compiler was at hand."""
