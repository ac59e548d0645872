/*
 * The shortest path of `lbctl_dns.wire`, compiled: plain questions in batches, two system calls for
 * up to 64 of them.
 *
 * It looks up in the same table and gives the same bytes as `wire.Responder.answer`, or nothing:
 * whatever is not a plain question for a set that we hold, or for one that a zone denies plainly,
 * is given to Python, which is the reference. So nothing is parsed here but the length of a name,
 * and nothing is written but at most one reply of bounded size into a buffer of that size.
 *
 * Bytes of a query are hostile: each is read only below `length`. Objects of the table are ours,
 * but are checked for type and size all the same; one that is not as expected goes to Python too.
 */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BATCH = 64,
    MAX_QUERY = 1536, /* as `server.MAX_QUERY` */
    MAX_REPLY = 1232, /* as `edns.PAYLOAD`, and no `ceiling` may be larger */
    HEADER = 12,
    HEAD = 10, /* a header without the number */
    MAX_NAME = 255,
    MAX_LABEL = 63,
};

/* What one batch is answered from; references are borrowed, of arguments or of `held`. */
typedef struct {
    PyObject *sets, *exists, *nearest, *deniable, *clerk;
    PyObject *nxdomain, *nodata; /* `table.Heads` */
    Py_ssize_t plain, ceiling;   /* as in `careful.Transport` */
} View;

typedef struct {
    const struct sockaddr_storage *address;
    PyObject *host; /* made when it is needed first; owned */
} Peer;

static PyObject *name_sets, *name_exists, *name_nearest, *name_deniable, *name_opt, *name_origin,
    *name_rest;

static PyObject *host_of(Peer *peer) {
    if (peer->host == NULL) {
        char text[INET6_ADDRSTRLEN];
        const void *v6 = &((const struct sockaddr_in6 *)peer->address)->sin6_addr;
        const void *v4 = &((const struct sockaddr_in *)peer->address)->sin_addr;
        int family = peer->address->ss_family;
        if (inet_ntop(family, family == AF_INET6 ? v6 : v4, text, sizeof text) == NULL)
            return PyErr_SetFromErrno(PyExc_OSError);
        peer->host = PyUnicode_FromString(text);
    }
    return peer->host;
}

static int port_of(const struct sockaddr_storage *address) {
    int is_v6 = address->ss_family == AF_INET6;
    return ntohs(is_v6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                       : ((const struct sockaddr_in *)address)->sin_port);
}

/* Return the bytes of one of four heads, NULL where these are no heads. */
static const char *head_in(PyObject *heads, int index) {
    if (!PyTuple_Check(heads) || PyTuple_GET_SIZE(heads) != 4)
        return NULL;
    PyObject *head = PyTuple_GET_ITEM(heads, index);
    return PyBytes_Check(head) && PyBytes_GET_SIZE(head) == HEAD ? PyBytes_AS_STRING(head) : NULL;
}

/* Return the part of `name` from `at` on as an object of its own. */
static PyObject *tail_of(PyObject *name, Py_ssize_t at) {
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(name) + at, PyBytes_GET_SIZE(name) - at);
}

/* Find the zone that denies a name, as `wire._denied` does, but only where it found out before.
 * Return 1 with a new reference in `denial`, 0 for the long way, -1 with an exception. */
static int denied_by(const View *view, PyObject *name, PyObject **denial, int *exists) {
    PyObject *encloser = Py_NewRef(name);
    *exists = 1;
    for (;;) {
        PyObject *found = PyDict_GetItemWithError(view->nearest, encloser);
        if (found != NULL) {
            Py_DECREF(encloser);
            *denial = Py_NewRef(found);
            return 1;
        }
        int known = PyErr_Occurred() ? -1 : PyDict_Contains(view->exists, encloser);
        Py_ssize_t size = PyBytes_GET_SIZE(encloser);
        unsigned char length = (unsigned char)PyBytes_AS_STRING(encloser)[0];
        if (known != 0 || length == 0 || length > MAX_LABEL || size <= 1 + length) {
            Py_DECREF(encloser);
            return known < 0 ? -1 : 0;
        }
        *exists = 0;
        Py_SETREF(encloser, tail_of(encloser, 1 + length));
        if (encloser == NULL)
            return -1;
    }
}

/* The parts of a reply behind its number, all references owned. */
typedef struct {
    const char *head;
    Py_ssize_t pointer; /* -1: none */
    PyObject *tail, *opt, *keep;
} Parts;

static int fill_denial(const View *view, PyObject *name, int head, Parts *parts) {
    PyObject *denial, *origin;
    int exists, found = denied_by(view, name, &denial, &exists);
    if (found <= 0)
        return found;
    origin = PyObject_GetAttr(denial, name_origin);
    parts->tail = origin ? PyObject_GetAttr(denial, name_rest) : NULL;
    Py_DECREF(denial);
    if (parts->tail == NULL) {
        Py_XDECREF(origin);
        return -1;
    }
    parts->head = head_in(exists ? view->nodata : view->nxdomain, head);
    parts->pointer = -1;
    if (PyBytes_Check(origin) && PyBytes_GET_SIZE(origin) <= PyBytes_GET_SIZE(name))
        parts->pointer = HEADER + PyBytes_GET_SIZE(name) - PyBytes_GET_SIZE(origin);
    Py_DECREF(origin);
    if (parts->pointer < 0 || parts->head == NULL || !PyBytes_Check(parts->tail))
        return 0;
    return exists ? 1 : 2;
}

/* Return 1 for an answer, 2 for an NXDOMAIN, 0 for the long way, -1 with an exception. */
static int fill(const View *view, PyObject *kind, PyObject *name, int head, Parts *parts) {
    PyObject *entry = NULL, *sets = PyDict_GetItemWithError(view->sets, kind);
    if (sets != NULL && PyDict_Check(sets))
        entry = PyDict_GetItemWithError(sets, name);
    if (PyErr_Occurred())
        return -1;
    if (entry == NULL) {
        int plain = PySet_Contains(view->deniable, kind);
        if (plain <= 0 || PyBytes_GET_SIZE(name) > MAX_NAME)
            return plain < 0 ? -1 : 0;
        return fill_denial(view, name, head, parts);
    }
    if (!PyTuple_Check(entry) || PyTuple_GET_SIZE(entry) != 2)
        return 0;
    parts->keep = Py_NewRef(entry); /* it owns the head */
    parts->head = head_in(PyTuple_GET_ITEM(entry, 0), head);
    parts->tail = Py_NewRef(PyTuple_GET_ITEM(entry, 1));
    return parts->head != NULL && PyBytes_Check(parts->tail);
}

/* Have the clerk answer an OPT record; results as those of `fill`. */
static int fill_opt(const View *view, const unsigned char *block, Py_ssize_t length, Peer *peer,
                    Parts *parts, Py_ssize_t *limit) {
    PyObject *host = host_of(peer);
    PyObject *asked = host ? PyBytes_FromStringAndSize((const char *)block, length) : NULL;
    if (asked == NULL)
        return -1;
    PyObject *found = PyObject_CallMethodObjArgs(view->clerk, name_opt, asked, host, NULL);
    Py_DECREF(asked);
    if (found == NULL)
        return -1;
    int result = 0;
    if (PyTuple_Check(found) && PyTuple_GET_SIZE(found) == 2 &&
        PyBytes_Check(PyTuple_GET_ITEM(found, 1))) {
        Py_ssize_t offered = PyLong_AsSsize_t(PyTuple_GET_ITEM(found, 0));
        if (offered == -1 && PyErr_Occurred()) {
            result = -1;
        } else {
            *limit = offered < view->plain ? view->plain : offered;
            *limit = *limit > view->ceiling ? view->ceiling : *limit;
            parts->opt = Py_NewRef(PyTuple_GET_ITEM(found, 1));
            result = 1;
        }
    }
    Py_DECREF(found);
    return result;
}

/* Write the reply, at most `limit` <= MAX_REPLY bytes; return its length, 0 if it does not fit. */
static Py_ssize_t assemble(const unsigned char *query, Py_ssize_t end, const Parts *parts,
                           Py_ssize_t limit, unsigned char *out) {
    Py_ssize_t tail = PyBytes_GET_SIZE(parts->tail);
    Py_ssize_t opt = parts->opt ? PyBytes_GET_SIZE(parts->opt) : 0;
    Py_ssize_t pointer = parts->pointer < 0 ? 0 : 2;
    if (end > limit || tail > limit || opt > limit || end + pointer + tail + opt > limit)
        return 0;
    memcpy(out, query, 2);
    memcpy(out + 2, parts->head, HEAD);
    memcpy(out + HEADER, query + HEADER, end - HEADER);
    out += end;
    if (pointer) {
        *out++ = 0xC0 | parts->pointer >> 8;
        *out++ = parts->pointer & 0xFF;
    }
    memcpy(out, PyBytes_AS_STRING(parts->tail), tail);
    if (opt)
        memcpy(out + tail, PyBytes_AS_STRING(parts->opt), opt);
    return end + pointer + tail + opt;
}

/* Answer one query into `out`, which has MAX_REPLY bytes. Return the reply's length, 0 for the long
 * way, -1 with an exception; `denied` grows with an NXDOMAIN. */
static Py_ssize_t answer(const View *view, const unsigned char *query, Py_ssize_t length,
                         Peer *peer, unsigned char *out, Py_ssize_t *denied) {
    static const unsigned char counts[7] = {0, 1, 0, 0, 0, 0, 0};
    if (length < HEADER + 5 || query[2] > 1 || memcmp(query + 4, counts, 7) || query[11] > 1)
        return 0;
    const unsigned char *zero = memchr(query + HEADER, 0, length - HEADER);
    Py_ssize_t end = zero ? zero - query + 5 : length + 1;
    if (end > length || (query[11] ? end == length : end != length) || end > MAX_REPLY)
        return 0;
    Parts parts = {NULL, -1, NULL, NULL, NULL};
    Py_ssize_t limit = view->plain, size = end - 4 - HEADER;
    int found = query[11] ? fill_opt(view, query + end, length - end, peer, &parts, &limit) : 1;
    if (found == 1) {
        PyObject *kind = PyBytes_FromStringAndSize((const char *)query + end - 4, 4);
        PyObject *name = PyBytes_FromStringAndSize(NULL, size);
        found = -1;
        if (kind != NULL && name != NULL) {
            unsigned char *lower = (unsigned char *)PyBytes_AS_STRING(name);
            for (Py_ssize_t at = 0; at < size; at++)
                lower[at] = Py_TOLOWER(query[HEADER + at]);
            found = fill(view, kind, name, query[2] + 2 * query[11], &parts);
        }
        Py_XDECREF(kind);
        Py_XDECREF(name);
    }
    Py_ssize_t written = found < 0 ? -1 : 0;
    if (found > 0)
        written = assemble(query, end, &parts, limit, out);
    *denied += found == 2 && written > 0;
    Py_XDECREF(parts.tail);
    Py_XDECREF(parts.opt);
    Py_XDECREF(parts.keep);
    return written;
}

/* Borrow what a batch is answered from; 0 with an exception. `held` gets the references to drop. */
static int view_of(View *view, PyObject *table, PyObject *clerk, PyObject *denials,
                   PyObject *limits, PyObject *held[4]) {
    PyObject *names[4] = {name_sets, name_exists, name_nearest, name_deniable};
    if (!PyArg_ParseTuple(denials, "OO", &view->nxdomain, &view->nodata) ||
        !PyArg_ParseTuple(limits, "nn", &view->plain, &view->ceiling))
        return 0;
    if (view->plain < 0 || view->ceiling < view->plain || view->ceiling > MAX_REPLY) {
        PyErr_Format(PyExc_ValueError, "limits go up to %d, the second is no less", MAX_REPLY);
        return 0;
    }
    for (int at = 0; at < 4; at++)
        if ((held[at] = PyObject_GetAttr(table, names[at])) == NULL)
            return 0;
    view->sets = held[0], view->exists = held[1], view->nearest = held[2], view->deniable = held[3];
    view->clerk = clerk;
    if (!PyDict_Check(view->sets) || !PyDict_Check(view->exists) || !PyDict_Check(view->nearest) ||
        !PyAnySet_Check(view->deniable)) {
        PyErr_SetString(PyExc_TypeError, "this is no table");
        return 0;
    }
    return 1;
}

static void let_go(PyObject *held[4]) {
    for (int at = 0; at < 4; at++)
        Py_XDECREF(held[at]);
}

/* Replies of a batch on their way. */
typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    PyObject *kept[BATCH]; /* replies that Python made */
    unsigned char buffers[BATCH][MAX_REPLY];
    int count;
} Replies;

static void add_reply(Replies *replies, struct msghdr *query, void *start, size_t size) {
    struct mmsghdr *header = &replies->headers[replies->count];
    replies->parts[replies->count] = (struct iovec){start, size};
    memset(header, 0, sizeof *header);
    header->msg_hdr.msg_name = query->msg_name;
    header->msg_hdr.msg_namelen = query->msg_namelen;
    header->msg_hdr.msg_iov = &replies->parts[replies->count++];
    header->msg_hdr.msg_iovlen = 1;
}

/* Send all; one that cannot be sent is skipped, the client asks again. */
static void send_all(int fd, Replies *replies) {
    for (int at = 0; at < replies->count;) {
        int sent = sendmmsg(fd, replies->headers + at, replies->count - at, MSG_DONTWAIT);
        at += sent > 0 ? sent : 1;
    }
}

/* Have Python answer one query; 0 with an exception. */
static int answer_aside(PyObject *aside, const unsigned char *query, Py_ssize_t length, Peer *peer,
                        struct msghdr *from, Replies *replies) {
    PyObject *host = host_of(peer);
    if (host == NULL)
        return 0;
    PyObject *reply = PyObject_CallFunction(aside, "y#Oi", (const char *)query, length, host,
                                            port_of(peer->address));
    if (reply == NULL)
        return 0;
    if (PyBytes_Check(reply) && PyBytes_GET_SIZE(reply)) {
        replies->kept[replies->count] = reply;
        add_reply(replies, from, PyBytes_AS_STRING(reply), PyBytes_GET_SIZE(reply));
    } else {
        Py_DECREF(reply);
    }
    return 1;
}

typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_storage peers[BATCH];
    unsigned char buffers[BATCH][MAX_QUERY];
} Queries;

static int receive(int fd, Queries *queries) {
    for (int at = 0; at < BATCH; at++) {
        struct msghdr *header = &queries->headers[at].msg_hdr;
        queries->parts[at] = (struct iovec){queries->buffers[at], MAX_QUERY};
        memset(header, 0, sizeof *header);
        header->msg_name = &queries->peers[at];
        header->msg_namelen = sizeof queries->peers[at];
        header->msg_iov = &queries->parts[at];
        header->msg_iovlen = 1;
    }
    return recvmmsg(fd, queries->headers, BATCH, MSG_DONTWAIT, NULL);
}

static int answer_all(const View *view, Queries *queries, int count, Replies *replies,
                      PyObject *aside, Py_ssize_t *denied) {
    for (int at = 0; at < count; at++) {
        const unsigned char *query = queries->buffers[at];
        Py_ssize_t length = queries->headers[at].msg_len;
        struct msghdr *from = &queries->headers[at].msg_hdr;
        Peer peer = {&queries->peers[at], NULL};
        unsigned char *out = replies->buffers[replies->count];
        replies->kept[replies->count] = NULL;
        Py_ssize_t size = answer(view, query, length, &peer, out, denied);
        int done = size >= 0;
        if (size > 0)
            add_reply(replies, from, out, size);
        else if (size == 0)
            done = answer_aside(aside, query, length, &peer, from, replies);
        Py_XDECREF(peer.host);
        if (!done)
            return 0;
    }
    return 1;
}

PyDoc_STRVAR(drain_doc, "drain(fd, table, clerk, denials, limits, aside) -> (queries, denied)");

static PyObject *drain(PyObject *module, PyObject *args) {
    int fd;
    PyObject *table, *clerk, *denials, *limits, *aside, *held[4] = {NULL};
    View view;
    Queries queries;
    Replies replies;
    Py_ssize_t denied = 0;
    if (!PyArg_ParseTuple(args, "iOOO!O!O", &fd, &table, &clerk, &PyTuple_Type, &denials,
                          &PyTuple_Type, &limits, &aside))
        return NULL;
    int count = receive(fd, &queries), done = 1;
    if (count < 0)
        count = 0; /* nothing waits, or an error of an earlier reply: there is nothing to answer */
    replies.count = 0;
    if (count > 0) {
        done = view_of(&view, table, clerk, denials, limits, held) &&
               answer_all(&view, &queries, count, &replies, aside, &denied);
        send_all(fd, &replies);
        for (int at = 0; at < replies.count; at++)
            Py_XDECREF(replies.kept[at]);
        let_go(held);
    }
    return done ? Py_BuildValue("in", count, denied) : NULL;
}

PyDoc_STRVAR(answer_doc, "answer(query, peer, table, clerk, denials, limits) -> bytes | None");

/* One query, for tests; `peer` is an IPv4 address. */
static PyObject *answer_one(PyObject *module, PyObject *args) {
    Py_buffer query;
    const char *host;
    PyObject *table, *clerk, *denials, *limits, *held[4] = {NULL}, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*sOOO!O!", &query, &host, &table, &clerk, &PyTuple_Type, &denials,
                          &PyTuple_Type, &limits))
        return NULL;
    struct sockaddr_storage address = {.ss_family = AF_INET};
    inet_pton(AF_INET, host, &((struct sockaddr_in *)&address)->sin_addr);
    Peer peer = {&address, NULL};
    unsigned char out[MAX_REPLY];
    Py_ssize_t size = -1, denied = 0;
    View view;
    if (view_of(&view, table, clerk, denials, limits, held))
        size = answer(&view, query.buf, query.len, &peer, out, &denied);
    if (size >= 0)
        result = size ? PyBytes_FromStringAndSize((const char *)out, size) : Py_NewRef(Py_None);
    Py_XDECREF(peer.host);
    let_go(held);
    PyBuffer_Release(&query);
    return result;
}

static PyMethodDef methods[] = {
    {"drain", drain, METH_VARARGS, drain_doc},
    {"answer", answer_one, METH_VARARGS, answer_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "lbctl_dns._shortest",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__shortest(void) {
    struct { PyObject **place; const char *text; } names[] = {
        {&name_sets, "sets"}, {&name_exists, "exists"}, {&name_nearest, "nearest"},
        {&name_deniable, "deniable"}, {&name_opt, "opt"}, {&name_origin, "origin"},
        {&name_rest, "rest"},
    };
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if ((*names[at].place = PyUnicode_InternFromString(names[at].text)) == NULL)
            return NULL;
    return PyModule_Create(&definition);
}
