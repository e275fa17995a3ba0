/*
 * forward.c - one client, one backend, and what goes from one to the other.
 *
 * A session is a client's connection. It reads a request's head, asks a backend
 * (the exchange), and then moves bytes in both directions at the same time:
 *
 *     client  -> from_client  -> to_backend -> backend
 *     client <-  to_client   <- from_backend <- backend
 *
 * What goes from the left buffer of a line into the right one was understood
 * by the parser and is written anew. Nothing is read into a buffer that is
 * full: so the slower side sets the pace, and a session's memory is what its
 * struct has.
 *
 * The head of a request stays at the front of from_client as long as the
 * request may have to be repeated.
 */
#include "forward.h"
#include "body.h"
#include "buffer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum state {
    IDLE,     /* waits for a request's head */
    EXCHANGE, /* a backend has been asked */
    LAST,     /* sends what to_client holds, and no more after it */
    LINGER,   /* waits for the client to close */
    CLOSED,   /* will be freed by the sweep */
};

struct session {
    struct endpoint client; /* first, for forward_event() */
    char address[INET_ADDRSTRLEN];
    struct sockaddr_in peer;
    struct session *older, *newer;
    uint64_t moved_ns;
    enum state state;
    bool client_ended; /* it will send no more */

    /* The exchange. */
    struct upstream *upstream; /* NULL when the backend is done with it */
    uint64_t tried, asked_ns;
    bool backend_ended; /* it will send no more */
    bool backend_reset; /* and that was no proper end */
    bool backend_deaf;  /* it takes no more */
    bool backend_took;  /* bytes of this request have gone to it */
    bool backend_spoke; /* bytes of a response have come */
    bool answered;      /* a final head has gone on to the client */
    bool idempotent, to_head, ends;
    size_t held; /* the request's head, at the front of from_client */
    struct http_head request, response;
    struct body request_body, response_body;

    struct buffer from_client, to_backend, from_backend, to_client;
};

/* Sessions in the order of their last movement: the oldest is due first. */

static void unlink_session(struct worker *worker, struct session *session)
{
    *(session->older ? &session->older->newer : &worker->oldest) =
        session->newer;
    *(session->newer ? &session->newer->older : &worker->newest) =
        session->older;
}

static void link_newest(struct worker *worker, struct session *session)
{
    session->moved_ns = worker->now_ns;
    session->older = worker->newest;
    session->newer = NULL;
    *(worker->newest ? &worker->newest->newer : &worker->oldest) = session;
    worker->newest = session;
}

static void moved(struct worker *worker, struct session *session)
{
    unlink_session(worker, session);
    link_newest(worker, session);
}

/* Reading and writing. */

/* Returns 1 if bytes came, 0 if there are none now, -1 at the end, with errno 0
 * or the error. */
static int fill(struct endpoint *endpoint, struct buffer *buffer)
{
    ssize_t n =
        recv(endpoint->fd, buffer->bytes + buffer->len, buffer_room(buffer), 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        errno = n == 0 ? 0 : errno;
        return -1;
    }
    buffer->len += (size_t)n;
    return 1;
}

/* Returns 1 if bytes went, 0 if none could, -1 if none ever will. */
static int flush(struct endpoint *endpoint, struct buffer *buffer)
{
    if (buffer->len == 0)
        return 0;
    ssize_t n = send(endpoint->fd, buffer->bytes, buffer->len, MSG_NOSIGNAL);
    if (n == -1)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    buffer_drop(buffer, (size_t)n);
    return 1;
}

/* How an exchange begins and ends. */

static void finish(struct worker *worker, struct session *session,
                   enum outcome outcome)
{
    backends_finished(worker->backends, session->upstream->backend, outcome,
                      session->answered ? session->response.status : 0,
                      worker->now_ns - session->asked_ns);
}

/* Gives the backend's connection up. */
static void leave_backend(struct worker *worker, struct session *session,
                          enum outcome outcome)
{
    if (session->upstream) {
        finish(worker, session, outcome);
        upstream_close(worker, session->upstream);
        session->upstream = NULL;
    }
}

static void session_close(struct worker *worker, struct session *session)
{
    leave_backend(worker, session, ABANDONED);
    unlink_session(worker, session);
    worker->num_clients--;
    endpoint_close(worker, &session->client);
    session->state = CLOSED;
}

/* An answer of our own is the last one: what else the client sent for this
 * request has not been read, and perhaps cannot be understood. */
static void answer(struct worker *worker, struct session *session, int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{400, "Bad Request"},
                   {408, "Request Timeout"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {431, "Request Header Fields Too Large"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"}};
    size_t i = 0;
    while (reasons[i].status != status)
        i++;
    leave_backend(worker, session, ABANDONED);
    session->state = LAST;
    struct buffer *out = &session->to_client;
    char bytes[256];
    int len = snprintf(bytes, sizeof(bytes),
                       "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s%s",
                       status, reasons[i].reason, strlen(reasons[i].reason) + 1,
                       session->to_head ? "" : reasons[i].reason,
                       session->to_head ? "" : "\n");
    if (buffer_room(out) >= (size_t)len)
        buffer_put(out, bytes, (size_t)len);
}

/* The response cannot be completed, and the client must see that. Where its end
 * is that of the connection, only a reset says so. */
static void cut(struct worker *worker, struct session *session)
{
    struct body *body = &session->response_body;
    bool until_close = body->from != HTTP_LENGTH && !body->chunked;
    struct linger reset = {.l_onoff = 1};
    leave_backend(worker, session, ABANDONED);
    session->state = LAST;
    if (until_close) {
        setsockopt(session->client.fd, SOL_SOCKET, SO_LINGER, &reset,
                   sizeof(reset));
        session_close(worker, session);
    }
}

/* Sends the request's head to this backend; on a new connection unless the
 * request may be repeated. Returns -1 with errno if there is no connection. */
static int ask(struct worker *worker, struct session *session, int backend,
               bool may_reuse)
{
    struct upstream *upstream =
        may_reuse ? upstream_reuse(worker, backend) : NULL;
    if (!upstream)
        upstream = upstream_connect(worker, backend);
    if (!upstream)
        return -1;
    upstream->end.session = session;
    session->upstream = upstream;
    session->backend_ended = session->backend_reset = false;
    session->backend_deaf = session->backend_took = false;
    session->from_backend.len = 0;
    session->to_backend.len = (size_t)head_to_backend(
        &session->request, session->address, session->to_backend.bytes,
        sizeof(session->to_backend.bytes));
    return 0;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS ||
           error == ENOMEM;
}

/* There is no connection to this backend to be had. Returns true if another one
 * may be asked. */
static bool is_next_asked(struct worker *worker, struct session *session,
                          int backend, int error)
{
    bool shortage = is_shortage(error);
    backends_finished(worker->backends, backend, shortage ? ABANDONED : REFUSED,
                      0, 0);
    session->upstream = NULL;
    session->tried |= (uint64_t)1 << backend;
    if (shortage)
        answer(worker, session, 503);
    else if (!session->idempotent)
        answer(worker, session, 502);
    return !shortage && session->idempotent;
}

/* Asks one backend after the other, until there is a connection to one. */
static void ask_any(struct worker *worker, struct session *session)
{
    bool repeatable = session->idempotent && session->request_body.done;
    int backend;
    do {
        backend = backends_choose(worker->backends, &session->request,
                                  &session->peer, session->tried);
        if (backend == -1) {
            answer(worker, session, 502);
            return;
        }
        backends_started(worker->backends, backend);
        session->asked_ns = worker->now_ns;
        if (ask(worker, session, backend, repeatable) == 0)
            return;
    } while (is_next_asked(worker, session, backend, errno));
}

static bool may_be_repeated(const struct session *session)
{
    return session->idempotent && session->held > 0 && !session->backend_spoke;
}

/* The backend's connection has ended too early, or what came is no HTTP. */
static void backend_failed(struct worker *worker, struct session *session)
{
    struct upstream *upstream = session->upstream;
    bool was_kept = upstream->kept, answered = session->answered;
    bool repeat = may_be_repeated(session);
    if (repeat && was_kept) {
        /* It may have been closed while the request was on its way. */
        int backend = upstream->backend;
        upstream_close(worker, upstream);
        if (ask(worker, session, backend, false) == -1 &&
            is_next_asked(worker, session, backend, errno))
            ask_any(worker, session);
        return;
    }
    session->tried |= (uint64_t)1 << upstream->backend;
    leave_backend(worker, session, session->backend_took ? BROKEN : REFUSED);
    if (repeat)
        ask_any(worker, session);
    else if (answered)
        cut(worker, session);
    else
        answer(worker, session, 502);
}

/* Returns true when a head has come and a backend was asked. */
static bool begin_exchange(struct worker *worker, struct session *session)
{
    static const char *const idempotent[] = {"GET",   "HEAD", "OPTIONS",
                                             "TRACE", "PUT",  "DELETE"};
    struct http_head *request = &session->request;
    session->to_head = false;
    int state = http_request(request, session->from_client.bytes,
                             session->from_client.len);
    if (state == 0 && session->client_ended)
        session_close(worker, session);
    if (state == 0)
        return false;
    if (state == -1 || http_is(request->method, "CONNECT")) {
        answer(worker, session, state == -1 ? request->error : 501);
        return false;
    }
    if (worker->answer) {
        struct buffer *out = &session->to_client;
        out->len = worker->answer(request, out->bytes, sizeof(out->bytes));
        if (out->len > 0) {
            session->state = LAST;
            return false;
        }
    }
    session->idempotent = false;
    for (size_t i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]); i++)
        if (http_is(request->method, idempotent[i]))
            session->idempotent = true;
    session->to_head = http_is(request->method, "HEAD");
    session->state = EXCHANGE;
    session->tried = 0;
    session->answered = session->backend_spoke = false;
    session->held = request->len;
    session->request_body = body_begin(request, true);
    session->response = (struct http_head){0};
    ask_any(worker, session);
    return true;
}

static void end_exchange(struct worker *worker, struct session *session)
{
    session->state = session->ends || worker->draining ? LAST : IDLE;
    session->request = (struct http_head){0};
}

/* The exchange. Both directions return true if anything moved. */

static void release_head(struct session *session)
{
    buffer_drop(&session->from_client, session->held);
    session->held = 0;
}

static bool forward_request(struct worker *worker, struct session *session)
{
    struct upstream *upstream = session->upstream;
    int sent = flush(&upstream->end, &session->to_backend);
    if (sent == -1) {
        /* It may have answered before it closed: that is read first. After a
         * reset nothing but send(2) may say so: recv(2) then returns 0. EPIPE:
         * it had ended properly before. */
        session->backend_deaf = true;
        session->backend_reset |= errno != EPIPE;
        session->to_backend.len = 0;
        return true;
    }
    if (sent == 1) {
        session->backend_took = true;
        moved(worker, session);
    }
    if (session->to_backend.len > 0 || session->backend_deaf ||
        session->request_body.done ||
        (session->from_client.len == session->held && !session->client_ended))
        return sent == 1;
    release_head(session);
    int put = body_move(&session->request_body, &session->from_client,
                        session->client_ended, &session->to_backend);
    if (put == -1 && session->answered)
        cut(worker, session);
    else if (put == -1)
        answer(worker, session, 400);
    return put == 1;
}

/* A head of the backend: an interim one, or the final one. */
static bool forward_head(struct worker *worker, struct session *session)
{
    struct http_head *head = &session->response;
    struct buffer *in = &session->from_backend, *out = &session->to_client;
    if (buffer_room(out) < HEAD_ROOM)
        return false;
    int state = http_response(head, in->bytes, in->len, session->to_head);
    if (state == 0 && !session->backend_ended)
        return false;
    if (state != 1 || head->status == 101) { /* nobody asked for an upgrade */
        backend_failed(worker, session);
        return true;
    }
    int minor = session->request.minor;
    bool is_final = head->status >= 200;
    session->ends = !session->request.keep_alive || minor == 0 ||
                    !session->request_body.done || worker->draining;
    if (is_final || minor > 0)
        out->len +=
            (size_t)head_to_client(head, minor, session->ends,
                                   out->bytes + out->len, buffer_room(out));
    buffer_drop(in, head->len);
    if (is_final) {
        session->answered = true;
        session->response_body = body_begin(head, minor > 0);
    } else {
        *head = (struct http_head){0};
    }
    return true;
}

/* The response is complete. Its connection is kept if both sides are at the
 * end of a message, and nothing was sent that nobody asked for. */
static void backend_done(struct worker *worker, struct session *session)
{
    struct upstream *upstream = session->upstream;
    bool keep = session->response.keep_alive && session->request_body.done &&
                session->to_backend.len == 0 && !session->backend_deaf &&
                session->from_backend.len == 0 && !session->backend_ended;
    finish(worker, session, ANSWERED);
    session->upstream = NULL;
    if (keep)
        upstream_keep(worker, upstream);
    else
        upstream_close(worker, upstream);
}

static bool forward_response(struct worker *worker, struct session *session)
{
    struct buffer *in = &session->from_backend;
    if (in->len > 0 && session->held > 0) {
        session->backend_spoke = true;
        release_head(session);
    }
    bool head_moved = !session->answered && forward_head(worker, session);
    if (!session->answered)
        return head_moved;
    int put = body_move(&session->response_body, in,
                        session->backend_ended && !session->backend_reset,
                        &session->to_client);
    if (session->response_body.done)
        backend_done(worker, session);
    else if (put == -1 || (put == 0 && in->len == 0 && session->backend_ended &&
                           session->backend_reset))
        backend_failed(worker, session);
    return head_moved || put != 0;
}

/* Moves all that can be moved now. */
static void exchange(struct worker *worker, struct session *session)
{
    bool go_on = true;
    while (session->state == EXCHANGE && go_on) {
        go_on = false;
        if (session->upstream)
            go_on |= forward_request(worker, session);
        if (session->state == EXCHANGE && session->upstream)
            go_on |= forward_response(worker, session);
        if (session->state != EXCHANGE)
            return;
        int sent = flush(&session->client, &session->to_client);
        if (sent == -1) {
            session_close(worker, session);
            return;
        }
        if (sent == 1)
            moved(worker, session);
        go_on |= sent == 1;
        if (!session->upstream && session->to_client.len == 0)
            end_exchange(worker, session);
    }
}

/* Sends the rest, then closes in two steps: a close(2) with bytes unread is a
 * reset, which may overtake the answer (RFC 9112, section 9.6). */
static void end_session(struct worker *worker, struct session *session)
{
    int sent = flush(&session->client, &session->to_client);
    if (sent == 1)
        moved(worker, session);
    if (sent == -1 || (session->to_client.len == 0 && session->client_ended)) {
        session_close(worker, session);
    } else if (session->to_client.len == 0) {
        shutdown(session->client.fd, SHUT_WR);
        session->state = LINGER;
    }
}

/* Asks epoll for what can be of use now: for bytes where there is room for
 * them, for room where there are bytes. */
static void watch(struct worker *worker, struct session *session)
{
    struct upstream *upstream = session->upstream;
    uint32_t client = 0, backend = 0;
    if (!session->client_ended && buffer_room(&session->from_client) > 0)
        client |= EPOLLIN;
    if (session->to_client.len > 0)
        client |= EPOLLOUT;
    if (!session->backend_ended && buffer_room(&session->from_backend) > 0)
        backend |= EPOLLIN;
    if (session->to_backend.len > 0)
        backend |= EPOLLOUT;
    if (!endpoint_watch(worker, &session->client, client) ||
        (upstream && !endpoint_watch(worker, &upstream->end, backend)))
        session_close(worker, session);
}

/* Goes on as far as it can without waiting. */
static void step(struct worker *worker, struct session *session)
{
    do {
        if (session->state == EXCHANGE)
            exchange(worker, session);
    } while (session->state == IDLE && begin_exchange(worker, session));
    if (session->state == LAST)
        end_session(worker, session);
    if (session->state != CLOSED)
        watch(worker, session);
}

static void client_event(struct worker *worker, struct session *session)
{
    if (session->state >= LAST)
        session->from_client.len = 0; /* nobody will read this */
    if (!session->client_ended && buffer_room(&session->from_client) > 0) {
        int came = fill(&session->client, &session->from_client);
        if (came == 1 && session->state < LAST)
            moved(worker, session);
        if (came == -1)
            session->client_ended = true;
        if (came == -1 && (errno != 0 || session->state == LINGER)) {
            session_close(worker, session);
            return;
        }
    }
    step(worker, session);
}

static void backend_event(struct worker *worker, struct session *session)
{
    if (!session->backend_ended && buffer_room(&session->from_backend) > 0) {
        int came = fill(&session->upstream->end, &session->from_backend);
        if (came == 1)
            moved(worker, session);
        if (came == -1) {
            session->backend_ended = session->backend_deaf = true;
            session->backend_reset |= errno != 0;
            session->to_backend.len = 0;
        }
    }
    step(worker, session);
}

void forward_event(struct worker *worker, struct endpoint *endpoint)
{
    struct session *session = endpoint->session;
    if (endpoint->fd == -1) /* closed by an event before this one */
        return;
    if (!session)
        upstream_event(worker, (struct upstream *)endpoint);
    else if (endpoint == &session->client)
        client_event(worker, session);
    else
        backend_event(worker, session);
}

bool forward_open(struct worker *worker, int fd, const struct sockaddr_in *peer)
{
    int on = 1;
    struct session *session = malloc(sizeof(*session));
    if (!session) {
        close(fd);
        return false;
    }
    /* All but the buffers' bytes, which nobody reads before they are written:
     * so pages that are not needed stay untouched. */
    memset(session, 0, offsetof(struct session, from_client));
    session->from_client.len = session->to_backend.len = 0;
    session->from_backend.len = session->to_client.len = 0;
    session->client = (struct endpoint){.fd = fd, .session = session};
    session->peer = *peer;
    inet_ntop(AF_INET, &peer->sin_addr, session->address,
              sizeof(session->address));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    link_newest(worker, session);
    worker->num_clients++;
    watch(worker, session);
    return true;
}

/* Nothing has moved for too long: who was it that did not move? */
static void expire(struct worker *worker, struct session *session)
{
    bool silent = session->state == IDLE && session->from_client.len == 0;
    bool client_takes_nothing = session->to_client.len > 0;
    bool client_is_late =
        session->state == IDLE ||
        (!session->request_body.done && session->to_backend.len == 0);
    if (silent || client_takes_nothing || session->state >= LAST) {
        session_close(worker, session);
        return;
    }
    moved(worker, session); /* time to send the answer */
    if (!client_is_late)
        leave_backend(worker, session, TIMED_OUT);
    if (session->state == EXCHANGE && session->answered)
        cut(worker, session);
    else
        answer(worker, session, client_is_late ? 408 : 504);
    step(worker, session);
}

int forward_expire(struct worker *worker, uint64_t now_ns)
{
    uint64_t limit_ns = (uint64_t)worker->timeout_ms * 1000000;
    worker->now_ns = now_ns;
    while (worker->oldest && now_ns - worker->oldest->moved_ns >= limit_ns)
        expire(worker, worker->oldest);
    if (!worker->oldest)
        return -1;
    uint64_t left_ns = worker->oldest->moved_ns + limit_ns - now_ns;
    return (int)((left_ns + 999999) / 1000000);
}

void forward_drain(struct worker *worker)
{
    worker->draining = true;
    struct session *newer;
    for (struct session *s = worker->oldest; s; s = newer) {
        newer = s->newer;
        if (s->state == IDLE && s->from_client.len == 0)
            client_event(worker, s); /* a request may have come by now */
        if (s->state == IDLE && s->from_client.len == 0)
            session_close(worker, s);
    }
}

void forward_sweep(struct worker *worker)
{
    while (worker->closed) {
        struct endpoint *endpoint = worker->closed;
        worker->closed = endpoint->next;
        free(endpoint); /* the first member of what was allocated */
    }
}

void forward_close_all(struct worker *worker)
{
    while (worker->oldest)
        session_close(worker, worker->oldest);
    for (int i = 0; i < MAX_BACKENDS; i++)
        while (worker->idle[i])
            upstream_event(worker, worker->idle[i]);
    forward_sweep(worker);
}
