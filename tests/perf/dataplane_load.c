/* Short connections and one stream, as `make bench-dataplane` needs them; gcc -O2 -pthread.
 *
 *   serve GREETING_PORT SINK_PORT               greets and closes; reads and forgets
 *   connect ADDRESS PORT SECONDS OUTSTANDING SOURCE SOURCES
 *                                               connects, reads the greeting, resets; again
 *   stream ADDRESS PORT SECONDS                 sends as much as one connection takes
 *
 * A client resets what it has read, so nobody is left in TIME_WAIT and a port can be used again. It
 * takes turns over SOURCES addresses from SOURCE on, so that no connection has a predecessor's tuple.
 * Prints one JSON object; latencies are microseconds from connect() to the first byte read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GREETING = 8, BLOCK = 128 << 10, LONGEST_US = 1 << 20, GIVE_UP_US = 1000000 };

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void must(int fine, const char *what) {
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static struct sockaddr_in place(const char *address, const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    must(inet_pton(AF_INET, address, &at.sin_addr) == 1, address);
    return at;
}

static int listener(const char *port) {
    struct sockaddr_in at = place("0.0.0.0", port);
    int yes = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(made >= 0, "socket");
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    must(!bind(made, (struct sockaddr *)&at, sizeof at) && !listen(made, 4096), "listen");
    return made;
}

static void *drain(void *asked) {
    static char block[BLOCK];
    int one, from = *(int *)asked;
    while ((one = accept(from, NULL, NULL)) >= 0) {
        while (read(one, block, sizeof block) > 0)
            ;
        close(one);
    }
    return NULL;
}

static void serve(char **argv) {
    int greeting = listener(argv[0]), sink = listener(argv[1]);
    pthread_t thread;
    must(!pthread_create(&thread, NULL, drain, &sink), "pthread_create");
    puts("up");
    fflush(stdout);
    for (;;) {
        int one = accept(greeting, NULL, NULL);
        if (one < 0)
            continue;
        send(one, "welcome\n", GREETING, MSG_NOSIGNAL);
        close(one);
    }
}

struct load {
    struct sockaddr_in to, from;
    int poll, outstanding, sources, turn;
    long done, failed;
    double *began;               /* by file descriptor */
    uint32_t took[LONGEST_US];   /* how many connections took so many microseconds */
};

static void watch(struct load *load, int one, int how) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = one};
    must(!epoll_ctl(load->poll, how, one, &event), "epoll_ctl");
}

static void begin(struct load *load) {
    struct linger reset = {1, 0};
    int yes = 1, one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(one >= 0, "socket");
    setsockopt(one, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(one, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    struct sockaddr_in from = load->from;
    from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + load->turn++ % load->sources);
    must(!bind(one, (struct sockaddr *)&from, sizeof from), "bind");
    load->began[one] = now_us();
    if (connect(one, (struct sockaddr *)&load->to, sizeof load->to) && errno != EINPROGRESS)
        must(0, "connect");
    watch(load, one, EPOLL_CTL_ADD);
}

/* Read a greeting, note how long it took, and begin the next connection. */
static void finish(struct load *load, int one) {
    char text[GREETING];
    double took = now_us() - load->began[one];
    if (read(one, text, sizeof text) == GREETING) {
        load->done++;
        load->took[took < LONGEST_US ? (int)took : LONGEST_US - 1]++;
    } else {
        load->failed++;
    }
    load->began[one] = 0;
    close(one);
    begin(load);
}

/* Give up on connections that nobody answers. */
static void sweep(struct load *load, int highest) {
    double late = now_us() - GIVE_UP_US;
    for (int one = 0; one < highest; one++)
        if (load->began[one] && load->began[one] < late)
            finish(load, one);
}

static int percentile(const struct load *load, double part) {
    long left = load->done * part;
    int at = 0;
    while (at < LONGEST_US - 1 && (left -= load->took[at]) >= 0)
        at++;
    return at;
}

static int connects(char **argv) {
    static struct load load;
    static double began[4096];
    struct epoll_event events[256];
    load.to = place(argv[0], argv[1]);
    load.from = place(argv[4], "0");
    load.outstanding = atoi(argv[3]);
    load.sources = atoi(argv[5]);
    load.began = began;
    must((load.poll = epoll_create1(0)) >= 0 && load.outstanding < 2048, "epoll");
    for (int number = 0; number < load.outstanding; number++)
        begin(&load);
    double start = now_us(), end = start + atof(argv[2]) * 1e6, sweep_at = start + GIVE_UP_US;
    while (now_us() < end) {
        int count = epoll_wait(load.poll, events, 256, 100);
        for (int number = 0; number < count; number++)
            finish(&load, events[number].data.fd);
        if (now_us() > sweep_at) {
            sweep(&load, 4096);
            sweep_at = now_us() + GIVE_UP_US;
        }
    }
    double seconds = (now_us() - start) / 1e6;
    printf("{\"per_s\": %.1f, \"failed\": %ld, \"p50_us\": %d, \"p99_us\": %d}\n",
           load.done / seconds, load.failed, percentile(&load, .5), percentile(&load, .99));
    return 0;
}

static int stream(char **argv) {
    static char block[BLOCK];
    struct sockaddr_in to = place(argv[0], argv[1]);
    int one = socket(AF_INET, SOCK_STREAM, 0);
    double sent = 0, start, end;
    must(!connect(one, (struct sockaddr *)&to, sizeof to), "connect");
    for (end = (start = now_us()) + atof(argv[2]) * 1e6; now_us() < end;) {
        ssize_t part = write(one, block, sizeof block);
        must(part > 0, "write");
        sent += part;
    }
    shutdown(one, SHUT_WR);
    while (read(one, block, sizeof block) > 0)
        ; /* until all of it has arrived; a proxy may end by a reset */
    printf("{\"mbit_s\": %.1f}\n", sent * 8 / (now_us() - start));
    return 0;
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 4 && !strcmp(argv[1], "serve"))
        serve(argv + 2);
    if (argc == 8 && !strcmp(argv[1], "connect"))
        return connects(argv + 2);
    if (argc == 5 && !strcmp(argv[1], "stream"))
        return stream(argv + 2);
    fputs("usage: see the head of dataplane_load.c\n", stderr);
    return 2;
}
