"""What the kernel's IPVS should hold on a node, and the filter beside it. Pure."""
