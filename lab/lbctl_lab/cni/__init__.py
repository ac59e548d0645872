"""The lab's pod network: a CNI plugin that makes pods ports of Open vSwitch."""
