/*
 * Lab 3: raw_http, the parser
 *
 * Goal: read HTTP/1.1 requests without I/O: bytes in, meaning out.
 *
 * Requirements: common/http.h, in full.
 *
 * Hints:
 * - A head is lines. One function that finds the next line, one that reads the
 *   first, one that reads a field, one that looks at all fields at the end.
 * - A table of 256 bytes that says where each of them may stand is worth its
 *   lines.
 * - Stuck? make hint
 *
 * Verification:
 *     make test TEST=test_02
 */
#include "http.h"

#include "todo.h"

#include <string.h>

/* Texts. */

bool http_is(struct http_text text, const char *string)
{
    todo("http_is");
}

bool http_same(struct http_text text, const char *string)
{
    todo("http_same");
}

bool http_list_has(struct http_text list, const char *element)
{
    todo("http_list_has");
}

const struct http_field *http_find(const struct http_head *head,
                                   const char *name)
{
    todo("http_find");
}

/* Heads. */

int http_request(struct http_head *head, const char *bytes, size_t len)
{
    todo("http_request");
}

/* Chunked bodies. */

ssize_t http_chunked(struct http_chunked *chunked, const char *bytes,
                     size_t len, struct http_text *data)
{
    todo("http_chunked");
}
