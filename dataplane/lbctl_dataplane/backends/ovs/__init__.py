"""The shell around Open vSwitch."""
