/*
 * heads.c - what becomes of a head on its way. It is not copied with some
 * lines taken out: it is written anew from what the parser understood.
 */
#include "reverse_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct writer {
    char *out;
    size_t len, size;
    bool full;
};

static void put(struct writer *writer, const char *bytes, size_t len)
{
    if (len > writer->size - writer->len)
        writer->full = true;
    if (len == 0 || writer->full) /* bytes may be NULL then, and memcpy minds */
        return;
    memcpy(writer->out + writer->len, bytes, len);
    writer->len += len;
}

static void put_text(struct writer *writer, struct http_text text)
{
    put(writer, text.at, text.len);
}

static void put_string(struct writer *writer, const char *string)
{
    put(writer, string, strlen(string));
}

static void put_field(struct writer *writer, const struct http_field *field)
{
    put_text(writer, field->name);
    put(writer, ": ", 2);
    put_text(writer, field->value);
    put(writer, "\r\n", 2);
}

static void put_number(struct writer *writer, uint64_t number)
{
    char digits[24];
    int len =
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    put(writer, digits, (size_t)len);
}

static void put_via(struct writer *writer, int minor)
{
    put_string(writer,
               minor == 0 ? "Via: 1.0 proxy\r\n" : "Via: 1.1 proxy\r\n");
}

static ssize_t finish(struct writer *writer)
{
    put(writer, "\r\n", 2);
    if (!writer->full)
        return (ssize_t)writer->len;
    errno = ENOBUFS;
    return -1;
}

/* A Connection field of this head lists the field. */
static bool is_listed(const struct http_head *head,
                      const struct http_field *field)
{
    char name[HTTP_MAX_HEAD];
    memcpy(name, field->name.at, field->name.len); /* no NUL is in a name */
    name[field->name.len] = '\0';
    for (size_t i = 0; i < head->num_fields; i++)
        if (http_same(head->fields[i].name, "Connection") &&
            http_list_has(head->fields[i].value, name))
            return true;
    return false;
}

static bool is_one_of(struct http_text name, const char *const names[])
{
    for (size_t i = 0; names[i]; i++)
        if (http_same(name, names[i]))
            return true;
    return false;
}

/* Writes the fields that go on as they are, so without those in `others`. */
static void put_fields(struct writer *writer, const struct http_head *head,
                       const char *const others[])
{
    static const char *const for_one_connection[] = {
        "Connection",        "Keep-Alive", "Proxy-Connection", "TE",
        "Transfer-Encoding", "Upgrade",    "Trailer",          NULL};
    bool lists = http_find(head, "Connection") != NULL;
    for (size_t i = 0; i < head->num_fields; i++) {
        const struct http_field *field = &head->fields[i];
        if (!is_one_of(field->name, for_one_connection) &&
            !is_one_of(field->name, others) &&
            !(lists && is_listed(head, field)))
            put_field(writer, field);
    }
}

static void put_forwarded_for(struct writer *writer,
                              const struct http_head *request,
                              const char *client)
{
    put_string(writer, "X-Forwarded-For: ");
    for (size_t i = 0; i < request->num_fields; i++) {
        const struct http_field *field = &request->fields[i];
        if (http_same(field->name, "X-Forwarded-For") && field->value.len > 0 &&
            !is_listed(request, field)) {
            put_text(writer, field->value);
            put(writer, ", ", 2);
        }
    }
    put_string(writer, client);
    put(writer, "\r\n", 2);
}

static void put_length(struct writer *writer, uint64_t length)
{
    put_string(writer, "Content-Length: ");
    put_number(writer, length);
    put(writer, "\r\n", 2);
}

ssize_t head_to_backend(const struct http_head *request, const char *client,
                        char *out, size_t size)
{
    static const char *const others[] = {"Host", "Content-Length",
                                         "X-Forwarded-For", NULL};
    struct writer writer = {.size = size};
    writer.out = out;
    put_text(&writer, request->method);
    put(&writer, " ", 1);
    put_text(&writer, request->path);
    put_string(&writer, " HTTP/1.1\r\nHost: ");
    put_text(&writer, request->host);
    put(&writer, "\r\n", 2);
    put_fields(&writer, request, others);
    put_forwarded_for(&writer, request, client);
    put_via(&writer, request->minor);
    if (request->body == HTTP_LENGTH)
        put_length(&writer, request->content_length);
    else if (request->body == HTTP_CHUNKED)
        put_string(&writer, "Transfer-Encoding: chunked\r\n");
    return finish(&writer);
}

/* How the client finds the end of the response. After HEAD and with 304 the
 * length is that of a body which does not come. */
static void put_framing(struct writer *writer, const struct http_head *response,
                        int minor)
{
    const struct http_field *length = http_find(response, "Content-Length");
    if (response->body == HTTP_LENGTH)
        put_length(writer, response->content_length);
    else if (response->body != HTTP_NO_BODY && minor != 0)
        put_string(writer, "Transfer-Encoding: chunked\r\n");
    else if (response->body == HTTP_NO_BODY && length &&
             response->status >= 200 && response->status != 204)
        put_field(writer, length);
}

ssize_t head_to_client(const struct http_head *response, int minor, bool close,
                       char *out, size_t size)
{
    static const char *const others[] = {"Content-Length", NULL};
    struct writer writer = {.size = size};
    writer.out = out;
    put_string(&writer, "HTTP/1.1 ");
    put_number(&writer, (uint64_t)response->status);
    put(&writer, " ", 1);
    put_text(&writer, response->reason);
    put(&writer, "\r\n", 2);
    put_fields(&writer, response, others);
    put_via(&writer, response->minor);
    put_framing(&writer, response, minor);
    if (close && response->status >= 200)
        put_string(&writer, "Connection: close\r\n");
    return finish(&writer);
}
