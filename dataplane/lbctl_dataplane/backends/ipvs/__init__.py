"""The shell around the kernel's IPVS."""
