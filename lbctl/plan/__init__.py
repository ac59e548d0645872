"""Desired × observed × now → what to do next, in order. Pure."""
