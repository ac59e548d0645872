"""What a node or a router should hold. Pure: values in, values out."""
