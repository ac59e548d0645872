"""lbctl: a software load balancer controller for Kubernetes."""
