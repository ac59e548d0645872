"""The shell around forwarding to peers."""
