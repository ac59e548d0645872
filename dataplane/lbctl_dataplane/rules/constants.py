"""Numbers and names by which lbctl recognises its own objects after a restart. Pure.

The README of this folder draws where each is used, beside those of kube-proxy, Calico and Cilium.
"""

COOKIE = 0x1BC7_0000_0000_0000
"""Every OpenFlow flow of ours carries it; flows without it are never read or touched."""
COOKIE_MASK = 0xFFFF_0000_0000_0000
LEARNED_COOKIE = 0x1BC8_0000_0000_0000
"""Of flows that the switch makes by itself: which clients it remembers. Audits do not read them."""

CT_ZONE = 10
"""Conntrack zone of VIP traffic on nodes; kube-proxy's connections live in zone 0."""
CT_MARK = 0x1BC7
"""Conntrack mark of connections that entered by a VIP, in our zone."""

GROUP_PREFIX = 0x1B00_0000
"""OpenFlow groups carry no cookie, so their numbers say whose they are: 0x1bxxxxxx is ours."""
GROUP_SPACE = 0x0100_0000
METER_FIRST, METER_SPACE = 0x1_0000, 0x1_0000
"""OpenFlow meters carry no cookie either; Linux has numbers up to 200,000, and who else makes some
(OVN) begins at 1."""
PEER_GROUP_PREFIX = 0x1A00_0000
"""Of groups that choose among nodes; as many."""
PEER_COOKIE = 0x1BC9_0000_0000_0000
"""Of what the switch learns for peers, plus the number of the place's group; audits skip it."""

TABLE_ENTRY = 0
"""Shared with whoever wires the pods; ours are the flows of `PRIORITY_ENTRY` with our cookie."""
TABLE_FABRIC = 20
"""From the fabric: only VIPs go on."""
TABLE_CONNECTION = 21
"""VIP packets after conntrack: known connections, and new ones to a group."""
TABLE_TO_POD = 22
"""Towards a local pod: MAC addresses, TTL, port."""
TABLE_TO_FABRIC = 23
"""Answers after conntrack: back to where the connection came from, else not ours."""
TABLE_NEIGHBOUR = 24
"""Second half of an IPv6 neighbour answer."""
TABLE_REMEMBERED = 26
"""Which client of a place has which member, where the place remembers; learned, never written."""
TABLE_MEMBERS = 27
"""New connections to places that remember: to the member that was found, else to the group."""

TABLE_PEERS = 30
"""Packets to places that are passed on: to the node that has the flow, else to a chosen one."""
TABLE_PEER_FLOWS = 31
"""Which node has which flow; learned, never written."""
TABLE_ARRIVED = 32
"""What a peer passed on: it is served here or dropped."""
TABLE_GATEWAYS = 33
"""The MAC addresses that answers to such packets go to; learned, never written."""

PRIORITY_ENTRY = 2000
PRIORITY_GATEWAY = 2001
PRIORITY_PEER = 2002
PRIORITY_REMEMBERED = 400
PRIORITY_KNOWN = 300
PRIORITY_NEW = 200
PRIORITY = 100
PRIORITY_REST = 0

NFT_TABLE = "lbctl"
"""Name of our nftables tables: family `netdev` on nodes, `inet` on routers."""

REFUSALS_TABLE = "lbctl-refusals"
"""Name of the nftables table (family `netdev`) beside Open vSwitch."""

NODE_TABLE = "lbctl-node"
"""Name of the nftables table (family `inet`) of nodes with backend nft: a machine may be a router
as well, whose table has another name."""
NODE_MARK = 0x00C7_0000
"""Conntrack mark of connections that entered by a VIP where the kernel translates them."""
NODE_MARK_MASK = 0x00FF_0000
"""The other bits are other people's, a router's leg among them."""
NODE_HOOK = -105
"""Before kube-proxy's destination NAT (-100): of two such chains the first one wins (measured)."""
NODE_BEFORE_HOOK = -106
"""Before every destination NAT, which undoes the VIP of a ping whose process began earlier."""
NODE_GUARD_HOOK = -95
"""After every destination NAT, before routing."""
NODE_SOURCE_HOOK = 95
"""Before kube-proxy's source NAT (100), which leaves alone what has one."""
NODE_ANSWER_HOOK = -150
"""After the connection of what the kernel sends itself is known (-200), before routing."""

PLACE_NUMBER, PLACE_NUMBER_LAST = 0xC800_0000, 0xC8FF_FFFF
"""Priority of a packet to a place that remembers clients, between two hooks of prerouting."""

LEG_MARK = 0x1B00_0000
"""Packet and connection mark of leg n on a router: this plus n."""
LEG_MARK_MASK = 0xFF00_0000
LEG_TABLE = 7000
"""Routing table, and preference of the rule that selects it, of leg n: this plus n."""
RETURN_TABLE = LEG_TABLE
"""Routing table, and preference of the rule that selects it, of answers that a node sends back by
its service interface: legs have numbers from 1, so it is none of a router's."""
MAX_LEGS = 1000
ROUTE_PROTOCOL = 27
"""Protocol number of our routes and neighbours (unassigned in iproute2's rt_protos)."""

IPVS_COOKIE, IPVS_COOKIE_MASK = 0x1BC7_0000, 0xFFFF_0000
"""In the flags of virtual servers of ours: IPVS keeps bits that mean nothing to it, and there is
no other place to leave a name."""
IPVS_TABLE = "lbctl-ipvs"
"""Name of the nftables table (family `inet`) beside IPVS."""

PEERS_TABLE = "lbctl-peers"
"""Name of the nftables tables of nodes that forward to peers: family `netdev` forwards, family
`inet` keeps answers of clients' first packets fit for the tunnel."""
PEERS_HOOK = -10
"""At ingress, among other people's chains there; no mark or connection is known yet."""
TUNNEL_DEVICE = "lbctl-vx"
TUNNEL_ID = 0x1BC7
"""VXLAN network identifier."""
TUNNEL_PORT = 7111
"""UDP; not that of Calico and Antrea (4789) or Flannel and Cilium (8472): devices that share a port
must agree about more than it."""
TUNNEL_ROUTE_PROTOCOL = 28
"""Protocol number of our routes to peers' legs: another one than routers have, who own 27."""
ANSWERS_HOOK = 150
"""After every source NAT (100), where answers come from VIPs again."""
