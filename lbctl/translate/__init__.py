"""Kubernetes facts become lbctl's nouns. Pure; why-not is a value, not an exception."""
