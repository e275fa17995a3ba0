/*
 * http_fields.h - what the readers of requests and of responses share. Not for
 * anybody else: include http.h.
 */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "http.h"

/* Bytes by what they may stand in. */
enum http_class {
    HTTP_TOKEN = 1,  /* a method, a field's name */
    HTTP_HOST = 2,   /* a host and its port */
    HTTP_TARGET = 4, /* '!' to '~', but '#' */
    HTTP_TEXT = 8,   /* a field's value: all but control characters, and tab */
};

/* All bytes of the text are of this class; true for the empty text. */
bool http_all(struct http_text text, enum http_class class);

/*
 * Reads as many lines of a head as have come, and at its end what follows from
 * its fields. first_line gets the first line, without CRLF, and returns 0 or
 * the status that refuses it. Returns what http_request() returns.
 */
int http_read_head(struct http_head *head, const char *bytes, size_t len,
                   int (*first_line)(struct http_head *head,
                                     struct http_text line));

/* "HTTP/1.1": sets head->minor and returns 0, or 400 or 505. */
int http_read_version(struct http_head *head, struct http_text version);

#endif
