"""The shell around one nftables table of ours, whoever's: apply, read back, count changes."""
