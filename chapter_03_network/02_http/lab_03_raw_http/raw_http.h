/*
 * raw_http.h - the parts of the server, and how they share their work.
 *
 *     http.c       common/http.h: bytes in, meaning out
 *     resources.c  this header: what the server has to say, and how it is
 *                  written; no I/O here either
 *     main.c       sockets, time, and all that
 *
 *     struct answer answer = resource_answer(&head, body, body_len);
 *     len += answer_write(&answer, &head, last, out + len);
 *
 * The tests call the functions of common/http.h. Those below they do not call:
 * a program that is divided in another way is as good.
 */
#ifndef RAW_HTTP_H
#define RAW_HTTP_H

#include "http.h"

enum {
    MAX_BODY = 64 * 1024,         /* bytes of content of a request */
    MAX_ANSWER = MAX_BODY + 1024, /* most that answer_write() writes */
};

struct answer {
    const char *status; /* "200 OK" */
    const char *fields; /* of this answer, each with its CRLF */
    const char *body;
    size_t len;
};

/* Whether this is the resource that wants to have the content of the request.
 * For all others it is read and thrown away. */
bool resource_wants_body(const struct http_head *head);

/* The answer to a complete request. Its body is valid until the next call, or
 * is the content that was given. */
struct answer resource_answer(const struct http_head *head, const char *content,
                              size_t len);

/* The answer to a request that cannot be read: 400, 408, 413, … */
struct answer answer_error(int status);

/* Writes the answer to out: head and body, no body after HEAD. Says so if it
 * is the last of this connection. Returns how many bytes that are. */
size_t answer_write(const struct answer *answer, const struct http_head *head,
                    bool last, char *out);

#endif
