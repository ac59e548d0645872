"""Node and router agents: decisions and endpoints become flows, rules and routes."""
