"""What the kernel's nftables should hold on a node that serves. Pure."""
