"""What a node passes on to its peers, and by which way. Pure."""
