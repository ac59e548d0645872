"""The shells that read back what is ours in a switch or kernel and apply changes to it."""
