"""The reading side of the command line: `lbctl get` and `lbctl explain`. Changes nothing."""
