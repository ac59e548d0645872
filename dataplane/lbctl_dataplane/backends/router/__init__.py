"""The shell around a Linux router's kernel."""
