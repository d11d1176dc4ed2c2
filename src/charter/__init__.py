"""Charter: adapt foundation models under a written charter, and ship a model only with its proof."""
