"""What a Linux router should hold: who shares new connections, and the way to each node. Pure."""
