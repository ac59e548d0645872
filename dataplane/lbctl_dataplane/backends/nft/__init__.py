"""The shell around the kernel's nftables on a node that serves."""
