#include "test/http.h"
#include "test/harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_HEAD = 64 * 1024, MAX_BODY = 64 << 20 };

/* A line with its CRLF, after the len bytes that are there; how long it is.
 * bytes has room for MAX_HEAD and a NUL. */
static size_t receive_line(struct test_place place, int fd, char *bytes,
                           size_t len)
{
    size_t start = len;
    do {
        if (len == MAX_HEAD)
            test_fail(place, "more than %d bytes of lines", MAX_HEAD);
        if (client_receive_at(place, fd, bytes + len, 1) == 0)
            test_fail(place,
                      len == 0 ? "expected: a response\n"
                                 "actual:   the connection ended"
                               : "the connection ended within a line:\n%.*s",
                      (int)len, bytes);
        if (bytes[len] == '\0')
            test_fail(place, "a NUL among the lines:\n%.*s", (int)len, bytes);
    } while (bytes[len++] != '\n');
    if (len - start < 2 || bytes[len - 2] != '\r')
        test_fail(place, "a line that ends without CR:\n%.*s", (int)len, bytes);
    bytes[len] = '\0';
    return len - start;
}

static bool is_digits(const char *text, size_t len)
{
    return len > 0 && strspn(text, "0123456789") >= len;
}

struct http_reply http_read_head_at(struct test_place place, int fd)
{
    char *head = harness_alloc(MAX_HEAD + 1);
    size_t len = receive_line(place, fd, head, 0);
    if (strncmp(head, "HTTP/1.", 7) != 0 || !is_digits(head + 7, 1) ||
        head[8] != ' ' || !is_digits(head + 9, 3) || head[12] != ' ')
        test_fail(place, "not the first line of a response: %.*s", (int)len - 2,
                  head);
    for (size_t line; (line = receive_line(place, fd, head, len)) > 2;
         len += line) {
        size_t name = strcspn(head + len, ": \t\r");
        if (name == 0 || head[len + name] != ':')
            test_fail(place, "not a header line: %.*s", (int)line - 2,
                      head + len);
    }
    return (struct http_reply){
        .status = atoi(head + 9), .head = head, .body = ""};
}

const char *http_header(struct http_reply reply, const char *name)
{
    const char *value = NULL;
    size_t len = strlen(name);
    for (const char *line = strstr(reply.head, "\r\n") + 2; *line != '\r';
         line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        if (value)
            fail_msg("the header %s is there twice:\n%s", name, reply.head);
        const char *from = line + len + 1;
        from += strspn(from, " \t");
        const char *to = strstr(from, "\r\n");
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
        value = text("%.*s", (int)(to - from), from);
    }
    return value;
}

char *http_chunk_at(struct test_place place, int fd, size_t *len)
{
    char line[MAX_HEAD + 1];
    receive_line(place, fd, line, 0);
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    unsigned long size = strtoul(line, NULL, 16);
    if (digits == 0 || (line[digits] != '\r' && line[digits] != ';') ||
        size > MAX_BODY)
        test_fail(place, "not the size of a chunk: %s", line);
    if (len)
        *len = size;
    if (size == 0) {
        while (receive_line(place, fd, line, 0) > 2)
            ;
        return NULL;
    }
    char *chunk = harness_alloc(size + 2);
    if (client_receive_at(place, fd, chunk, size + 2) < size + 2 ||
        memcmp(chunk + size, "\r\n", 2) != 0)
        test_fail(place, "a chunk of %lu bytes that does not end with CRLF",
                  size);
    chunk[size] = '\0';
    return chunk;
}

/* Reads as many pieces as come: chunks, or all bytes until the end. */
static const char *read_pieces(struct test_place place, int fd, bool chunked,
                               size_t *len)
{
    char *body, bytes[4096];
    FILE *pieces = open_memstream(&body, len);
    for (size_t total = 0;;) {
        size_t n;
        const char *piece = bytes;
        if (chunked)
            piece = http_chunk_at(place, fd, &n);
        else
            n = client_receive_at(place, fd, bytes, sizeof(bytes));
        if (n == 0)
            break;
        if ((total += n) > MAX_BODY)
            test_fail(place, "a body of more than %d bytes", MAX_BODY);
        fwrite(piece, 1, n, pieces);
    }
    fclose(pieces);
    char *copy = memcpy(harness_alloc(*len + 1), body, *len + 1);
    free(body);
    return copy;
}

struct http_reply http_read_at(struct test_place place, int fd,
                               const char *method)
{
    struct http_reply r = http_read_head_at(place, fd);
    const char *length = http_header(r, "Content-Length");
    const char *coding = http_header(r, "Transfer-Encoding");
    if (length && coding)
        test_fail(place, "Content-Length and Transfer-Encoding:\n%s", r.head);
    if (length && (!is_digits(length, strlen(length)) || strlen(length) > 15))
        test_fail(place, "not a Content-Length: %s", length);
    if (coding && strcasecmp(coding, "chunked") != 0)
        test_fail(place, "not a Transfer-Encoding: %s", coding);
    if (strcmp(method, "HEAD") == 0 || r.status < 200 || r.status == 204 ||
        r.status == 304)
        return r;
    if (!length) {
        r.chunked = coding != NULL;
        r.until_close = !r.chunked;
        r.body = read_pieces(place, fd, r.chunked, &r.body_len);
        return r;
    }
    size_t wanted = strtoul(length, NULL, 10);
    if (wanted > MAX_BODY)
        test_fail(place, "a body of %zu bytes", wanted);
    char *body = harness_alloc(wanted + 1);
    r.body_len = client_receive_at(place, fd, body, wanted);
    if (r.body_len < wanted)
        test_fail(place, "the connection ended after %zu of %zu bytes",
                  r.body_len, wanted);
    body[wanted] = '\0';
    r.body = body;
    return r;
}

struct http_reply http_get_at(struct test_place place, int port,
                              const char *target)
{
    int fd = client_connect_at(place, port);
    const char *request = text("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                               "Connection: close\r\n\r\n",
                               target, port);
    client_send_at(place, fd, request, strlen(request));
    struct http_reply r = http_read_at(place, fd, "GET");
    client_expect_end_at(place, fd);
    close(fd);
    return r;
}

void test_status(struct test_place place, struct http_reply reply, int expected)
{
    if (reply.status != expected)
        test_fail(place, "expected: status %d\nactual:   status %d\n%s%.200s",
                  expected, reply.status, reply.head, reply.body);
}

void test_body(struct test_place place, struct http_reply reply,
               const char *expected)
{
    test_bytes(place, reply.body, reply.body_len, expected, strlen(expected));
}

void test_header(struct test_place place, struct http_reply reply,
                 const char *name, const char *expected)
{
    test_string(place, http_header(reply, name), "==", expected);
}
