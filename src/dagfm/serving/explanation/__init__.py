"""Where a score comes from, exactly: every DAGFM logit is a sum of products along paths."""
