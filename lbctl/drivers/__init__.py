"""Systems outside of Kubernetes that lbctl talks to, one module each; none knows another."""
