/*
 * body.h - a body on its way from one buffer into another.
 *
 *     struct body body = body_begin(&head, true);
 *     while (body_move(&body, &in, ended, &out) == 1)
 *         …
 *     if (body.done)
 *         all of it has been put to out
 *
 * Bodies of known length go on as they are. All others are taken out of their
 * framing and framed anew: what goes on is what was understood.
 */
#ifndef BODY_H
#define BODY_H

#include "buffer.h"
#include "http.h"

struct body {
    enum http_body from; /* how it arrives */
    bool chunked;        /* it goes on in chunks */
    uint64_t left;       /* HTTP_LENGTH: bytes that are still to come */
    struct http_chunked decoder;
    bool done;
};

/* The body behind this head. may_chunk: its receiver knows chunks (HTTP/1.1);
 * else a body without a length goes on as it is, until the connection ends. */
struct body body_begin(const struct http_head *head, bool may_chunk);

/*
 * Moves what is there and has room. ended: nothing will be added to in.
 * Returns 1 if anything moved or the body came to its end, 0 if not, -1 if the
 * body is malformed or ended early.
 */
int body_move(struct body *body, struct buffer *in, bool ended,
              struct buffer *out);

#endif
