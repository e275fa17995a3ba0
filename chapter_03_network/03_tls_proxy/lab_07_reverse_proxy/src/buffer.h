/*
 * buffer.h - bytes on their way: read, but not understood, or understood, but
 * not sent. They always begin at the front.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stddef.h>
#include <string.h>

enum { BUFFER = 32 * 1024 };

struct buffer {
    size_t len;
    char bytes[BUFFER];
};

static inline size_t buffer_room(const struct buffer *buffer)
{
    return sizeof(buffer->bytes) - buffer->len;
}

/* There must be room for them. */
static inline void buffer_put(struct buffer *buffer, const char *bytes,
                              size_t len)
{
    memcpy(buffer->bytes + buffer->len, bytes, len);
    buffer->len += len;
}

/* Takes bytes from the front. */
static inline void buffer_drop(struct buffer *buffer, size_t len)
{
    buffer->len -= len;
    memmove(buffer->bytes, buffer->bytes + len, buffer->len);
}

#endif
