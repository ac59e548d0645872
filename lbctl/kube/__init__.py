"""The only room that talks to the Kubernetes API server: list, watch, conditional writes."""
