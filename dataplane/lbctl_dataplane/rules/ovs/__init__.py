"""What Open vSwitch should hold on a node: flows, groups, and the kernel's part beside it. Pure."""
