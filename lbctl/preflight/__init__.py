"""Is this cluster, or this node, ready for lbctl? Facts are gathered and judged; none changed."""
