/*
 * events.c - the events that are kept, and how they are written.
 */
#include "events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Event `id` is at id % KEPT, until event id + KEPT comes. */
static struct {
    size_t len;
    char text[MAX_TEXT];
} kept[KEPT];

static uint64_t newest;

uint64_t event_newest(void)
{
    return newest;
}

uint64_t event_oldest(void)
{
    return newest > KEPT ? newest - KEPT + 1 : 1;
}

uint64_t event_make(const char *text, size_t len)
{
    newest++;
    kept[newest % KEPT].len = len;
    memcpy(kept[newest % KEPT].text, text, len);
    return newest;
}

/* A line ends with LF, CR or CRLF: each of them would end a line of data, too,
 * and what comes behind it would be a field of the sender's choice. */
size_t event_write(uint64_t id, char *out)
{
    const char *text = kept[id % KEPT].text;
    size_t left = kept[id % KEPT].len;
    char *at = out + sprintf(out, "id: %" PRIu64 "\n", id);
    for (bool more = true; more;) {
        size_t line = 0;
        while (line < left && text[line] != '\n' && text[line] != '\r')
            line++;
        at = stpcpy(at, "data: ");
        at = mempcpy(at, text, line);
        *at++ = '\n';
        more = line < left;
        if (line + 1 < left && text[line] == '\r' && text[line + 1] == '\n')
            line++;
        line += more;
        text += line;
        left -= line;
    }
    *at++ = '\n';
    return (size_t)(at - out);
}

size_t event_write_gap(uint64_t id, char *out)
{
    return (size_t)sprintf(out, "event: gap\ndata: %" PRIu64 "\n\n", id);
}

/* Reads an id: 1 to 18 digits, which any uint64_t holds. */
static bool read_id(struct http_text text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *id = *id * 10 + (uint64_t)(text.at[i] - '0');
    }
    return text.len > 0 && text.len <= 18;
}

uint64_t event_after(const struct http_field *last_id, bool *gap)
{
    uint64_t id;
    *gap = false;
    if (!last_id)
        return newest + 1;
    if (read_id(last_id->value, &id) && id <= newest &&
        id + 1 >= event_oldest())
        return id + 1;
    *gap = true; /* too old, or none of ours */
    return event_oldest();
}

size_t piece_write(int piece, uint64_t id, char *out)
{
    return (size_t)sprintf(out, "piece %d of %d: event %" PRIu64 "\n", piece,
                           PIECES, id);
}
