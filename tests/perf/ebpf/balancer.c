/* A balancer at tc, as an experiment beside the nft backend: TCP over IPv4, nothing else.
 *
 * A packet to a place goes to a known flow's member, else to the member of the place's Maglev slot:
 * destination rewritten, the flow and its way back kept in an LRU map. In an answer the source is
 * rewritten back. Conntrack is not asked. Who takes the packet on: see at the end.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct end {
    __be32 address;
    __be16 port;
    __u16 unused;
};

struct flow {
    struct end from, to;
};

struct table {
    __u32 first, size; /* in `slots` */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1 << 15);
    __type(key, struct end);
    __type(value, struct table);
} places SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1 << 20);
    __type(key, __u32);
    __type(value, struct end);
} slots SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1 << 18);
    __type(key, struct flow);
    __type(value, struct end);
} flows SEC(".maps");

enum {
    AF_INET = 2,
    L4 = ETH_HLEN + sizeof(struct iphdr),
    IP_SUM = ETH_HLEN + offsetof(struct iphdr, check),
    TCP_SUM = L4 + offsetof(struct tcphdr, check),
};

/* Read the flow of a TCP packet without IP options; return whether it is one. */
static __always_inline int parse(struct __sk_buff *skb, struct flow *flow) {
    void *at = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *eth = at;
    struct iphdr *ip = at + ETH_HLEN;
    struct tcphdr *tcp = at + L4;
    if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
        ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x3fff))
        return 0;
    flow->from.address = ip->saddr;
    flow->from.port = tcp->source;
    flow->to.address = ip->daddr;
    flow->to.port = tcp->dest;
    return 1;
}

static __always_inline void rewrite(struct __sk_buff *skb, struct end old, struct end new,
                                    int address_at, int port_at) {
    bpf_l4_csum_replace(skb, TCP_SUM, old.address, new.address, BPF_F_PSEUDO_HDR | 4);
    bpf_l4_csum_replace(skb, TCP_SUM, old.port, new.port, 2);
    bpf_l3_csum_replace(skb, IP_SUM, old.address, new.address, 4);
    bpf_skb_store_bytes(skb, address_at, &new.address, 4, 0);
    bpf_skb_store_bytes(skb, port_at, &new.port, 2, 0);
}

static __always_inline __u32 mixed(__u32 x) {
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return x ^ x >> 16;
}

/* Send a packet to a member, if it is to a place; return whether it was. */
static __always_inline int to_member(struct __sk_buff *skb) {
    struct flow flow = {}, back = {};
    if (!parse(skb, &flow))
        return 0;
    struct end *member = bpf_map_lookup_elem(&flows, &flow);
    if (!member) {
        struct table *table = bpf_map_lookup_elem(&places, &flow.to);
        if (!table || !table->size)
            return 0;
        __u32 hash = mixed(flow.from.address ^ (__u32)flow.from.port << 16);
        __u32 slot = table->first + hash % table->size;
        member = bpf_map_lookup_elem(&slots, &slot);
        if (!member)
            return 0;
        back.from = *member;
        back.to = flow.from;
        bpf_map_update_elem(&flows, &flow, member, BPF_ANY);
        bpf_map_update_elem(&flows, &back, &flow.to, BPF_ANY);
    }
    rewrite(skb, flow.to, *member, ETH_HLEN + offsetof(struct iphdr, daddr),
            L4 + offsetof(struct tcphdr, dest));
    return 1;
}

/* Let an answer come from its place, if it is one; return whether it was. */
static __always_inline int from_place(struct __sk_buff *skb) {
    struct flow flow = {};
    if (!parse(skb, &flow))
        return 0;
    struct end *place = bpf_map_lookup_elem(&flows, &flow);
    if (!place)
        return 0;
    rewrite(skb, flow.from, *place, ETH_HLEN + offsetof(struct iphdr, saddr),
            L4 + offsetof(struct tcphdr, source));
    return 1;
}

/* Look up the way on and put its MACs in; return the device, 0: leave it to the host. */
static __always_inline int way_on(struct __sk_buff *skb) {
    struct flow flow = {};
    struct bpf_fib_lookup way = {.family = AF_INET, .ifindex = skb->ingress_ifindex};
    if (!parse(skb, &flow))
        return 0;
    way.ipv4_src = flow.from.address;
    way.ipv4_dst = flow.to.address;
    if (bpf_fib_lookup(skb, &way, sizeof way, 0) != BPF_FIB_LKUP_RET_SUCCESS)
        return 0;
    bpf_skb_store_bytes(skb, 0, way.dmac, ETH_ALEN, 0);
    bpf_skb_store_bytes(skb, ETH_ALEN, way.smac, ETH_ALEN, 0);
    return way.ifindex;
}

/* Of the service interface, both ways: the host routes in between. */

SEC("tc/ingress")
int ingress(struct __sk_buff *skb) {
    to_member(skb);
    return TC_ACT_OK;
}

SEC("tc/egress")
int egress(struct __sk_buff *skb) {
    from_place(skb);
    return TC_ACT_OK;
}

/* Of the service interface and of pods' devices, both ingress: past the host's stack. */

SEC("tc/in_short")
int in_short(struct __sk_buff *skb) {
    int device = to_member(skb) ? way_on(skb) : 0;
    return device ? bpf_redirect_peer(device, 0) : TC_ACT_OK;
}

SEC("tc/out_short")
int out_short(struct __sk_buff *skb) {
    int device = from_place(skb) ? way_on(skb) : 0;
    return device ? bpf_redirect(device, 0) : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
