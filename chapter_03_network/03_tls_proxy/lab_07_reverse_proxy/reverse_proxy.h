/*
 * reverse_proxy.h - the parts of the proxy that can be tried without a socket:
 * what becomes of a head on its way, and which backend is asked.
 *
 *     char out[HEAD_ROOM];
 *     int backend = backends_choose(backends, &request, &client, 0);
 *     backends_started(backends, backend);
 *     ssize_t len = head_to_backend(&request, "192.0.2.7", out, sizeof(out));
 *     … send it to backends_address(backends, backend), forward bodies …
 *     len = head_to_client(&response, request.minor, false, out, sizeof(out));
 *     backends_finished(backends, backend, ANSWERED, response.status, ns);
 */
#ifndef REVERSE_PROXY_H
#define REVERSE_PROXY_H

#include "http.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    MAX_BACKENDS = 64,
    /* Every head that the parser accepts has room in this after the change. */
    HEAD_ROOM = HTTP_MAX_HEAD + 1024,
};

/*
 * Heads. Both functions write a head to out and return its length, or -1 with
 * ENOBUFS if it is longer than size; what out holds is then undefined. No NUL
 * is put behind it. Lines end in CRLF; a field is "Name: value", with name and
 * value as they came. (A text that is empty may have NULL in `at`.)
 *
 * Fields that are for one connection only are not passed on (RFC 9110, section
 * 7.6.1): Connection, each field that a Connection field lists, Keep-Alive,
 * Proxy-Connection, TE, Transfer-Encoding, Upgrade. Neither is Trailer: the
 * proxy drops the trailers. Names are the same in any case.
 */

/*
 * The head of a request as the backend gets it; client is the client's address
 * in text. request is complete and is not CONNECT. In this order:
 *
 *     METHOD PATH HTTP/1.1      PATH is request->path
 *     Host: HOST                HOST is request->host, perhaps empty
 *     all other fields in their order, without those above, Host,
 *         Content-Length and X-Forwarded-For
 *     X-Forwarded-For: LIST     the values of such fields that are passed on
 *                               and not empty, and then client, all joined by
 *                               ", "
 *     Via: 1.MINOR proxy        MINOR is request->minor
 *     Content-Length: NUMBER    if request->body is HTTP_LENGTH
 *     Transfer-Encoding: chunked  if it is HTTP_CHUNKED
 *     (an empty line)
 */
ssize_t head_to_backend(const struct http_head *request, const char *client,
                        char *out, size_t size);

/*
 * The head of a response as the client gets it; minor is that of the client's
 * request (HTTP/1.minor), close says that the connection ends after this
 * response. In this order:
 *
 *     HTTP/1.1 STATUS REASON    the blank also where REASON is empty
 *     all other fields in their order, without those above and
 *         Content-Length
 *     Via: 1.MINOR proxy        MINOR is response->minor
 *     Content-Length: NUMBER    if response->body is HTTP_LENGTH; also, with
 *                               the value as it came, if it is HTTP_NO_BODY,
 *                               the response has this field, and the status is
 *                               neither 1xx nor 204
 *     Transfer-Encoding: chunked  if response->body is HTTP_CHUNKED or
 *                               HTTP_UNTIL_CLOSE, and minor is not 0
 *     Connection: close         if close, and the status is not 1xx
 *     (an empty line)
 */
ssize_t head_to_client(const struct http_head *response, int minor, bool close,
                       char *out, size_t size);

/*
 * Backends. They are numbered from 0 in the order of the command line. All
 * threads of the proxy share them: every function but the first and the last
 * may be called by several threads at the same time, and none of them waits.
 */
struct backends;

/* How an attempt to have a backend answer a request went. */
enum outcome {
    ANSWERED,  /* a whole response came */
    REFUSED,   /* there was no connection to be had */
    BROKEN,    /* the response was no HTTP, or ended early */
    TIMED_OUT, /* nothing moved for the time allowed */
    ABANDONED, /* the client or the proxy gave up: not the backend's fault */
};

/* count addresses (1 to MAX_BACKENDS) are copied. NULL with ENOMEM. */
struct backends *backends_new(const struct sockaddr_in *addresses, int count);

const struct sockaddr_in *backends_address(const struct backends *backends,
                                           int backend);

/*
 * Which backend is asked next. tried has bit 1 << i set for each backend i that
 * failed this request already. Returns a number whose bit is not set; -1 if
 * there is none.
 *
 * Round robin: call number n (from 0; calls of all threads count, those with
 * tried, too) begins with backend n modulo count and goes on upwards, from the
 * last one to 0, past those tried. request and client do not matter here; a
 * proxy with another strategy looks at them. They may be NULL; a request that
 * is given can still be read, at a retry too.
 */
int backends_choose(struct backends *backends, const struct http_head *request,
                    const struct sockaddr_in *client, uint64_t tried);

/* An attempt with this backend begins. */
void backends_started(struct backends *backends, int backend);

/* It has ended: called exactly once for each backends_started(). status is that
 * of the response, 0 if none came; elapsed_ns the time since it began. */
void backends_finished(struct backends *backends, int backend,
                       enum outcome outcome, int status, uint64_t elapsed_ns);

/* One line for each backend, in their order:
 *
 *     127.0.0.1:9001 answered 12, failed 1
 *
 * answered counts ANSWERED, failed REFUSED, BROKEN and TIMED_OUT. */
void backends_print(const struct backends *backends, FILE *file);

/* NULL is allowed. */
void backends_free(struct backends *backends);

#endif
