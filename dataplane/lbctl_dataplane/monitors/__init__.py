"""Health monitors of a node: who is asked, what answers mean, who gets no new connections."""
