"""Who gets which address. Pure: request + ledger → grant or a named refusal."""
