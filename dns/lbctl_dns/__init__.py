"""Authoritative DNS server of lbctl."""
