#include "body.h"

#include <stdio.h>

/* What a chunk needs beside its content: "7fff" CRLF, CRLF, and the last chunk,
 * "0" CRLF CRLF, which may follow at once. */
enum { CHUNK_ROOM = 6 + 2 + 5 };

struct body body_begin(const struct http_head *head, bool may_chunk)
{
    return (struct body){
        .from = head->body,
        .left = head->content_length,
        .chunked = may_chunk && (head->body == HTTP_CHUNKED ||
                                 head->body == HTTP_UNTIL_CLOSE),
        .done = head->body == HTTP_NO_BODY ||
                (head->body == HTTP_LENGTH && head->content_length == 0)};
}

/* Decodes chunks in place: the content, at most `most` bytes, comes together at
 * the front of in. Returns its length, or -1; *taken bytes were read for it. */
static ssize_t decode(struct http_chunked *decoder, struct buffer *in,
                      size_t most, size_t *taken)
{
    size_t len = 0;
    *taken = 0;
    while (*taken < in->len && len < most && !decoder->done) {
        struct http_text content;
        size_t part = in->len - *taken;
        ssize_t n =
            http_chunked(decoder, in->bytes + *taken,
                         part < most - len ? part : most - len, &content);
        if (n == -1)
            return -1;
        memmove(in->bytes + len, content.at, content.len);
        len += content.len;
        *taken += (size_t)n;
    }
    return (ssize_t)len;
}

static void put_chunk(struct buffer *out, const char *bytes, size_t len)
{
    char size[8];
    int digits = snprintf(size, sizeof(size), "%zx\r\n", len);
    buffer_put(out, size, (size_t)digits);
    buffer_put(out, bytes, len);
    buffer_put(out, "\r\n", 2);
}

int body_move(struct body *body, struct buffer *in, bool ended,
              struct buffer *out)
{
    size_t room = buffer_room(out), frame = body->chunked ? CHUNK_ROOM : 0;
    if (body->done || room <= frame)
        return 0;
    size_t most = room - frame;
    size_t len = in->len < most ? in->len : most, taken;
    if (body->from == HTTP_CHUNKED) {
        ssize_t n = decode(&body->decoder, in, most, &taken);
        if (n == -1)
            return -1;
        len = (size_t)n;
        body->done = body->decoder.done;
    } else if (body->from == HTTP_LENGTH) {
        len = len < body->left ? len : body->left;
        taken = len;
        body->left -= len;
        body->done = body->left == 0;
    } else {
        taken = len;
        body->done = ended && taken == in->len;
    }
    if (ended && taken == 0 && !body->done)
        return -1;
    if (len > 0 && body->chunked)
        put_chunk(out, in->bytes, len);
    else
        buffer_put(out, in->bytes, len);
    if (body->done && body->chunked)
        buffer_put(out, "0\r\n\r\n", 5);
    buffer_drop(in, taken);
    return taken > 0 || body->done;
}
