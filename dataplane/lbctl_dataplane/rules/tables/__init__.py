"""An nftables table of ours, whoever's: sets and maps as values, text and netlink bytes. Pure."""
