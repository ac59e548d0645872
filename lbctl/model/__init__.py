"""The nouns of lbctl. Pure: frozen values and deterministic names, no I/O."""
