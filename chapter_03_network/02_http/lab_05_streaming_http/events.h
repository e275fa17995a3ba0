/*
 * events.h - the events that are kept, and how they are written: everything
 * that needs no connection. No I/O.
 *
 *     uint64_t id = event_make("hello", 5);
 *     for (uint64_t next = id; next <= event_newest(); next++)
 *         len += event_write(next, out + len);
 *
 * Each event is kept once. A listener is a number: the id of the event that it
 * gets next. main.c and src/events.c share their work like this. The tests do
 * not call these functions: a program that is divided in another way is as
 * good.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "http.h"

enum {
    KEPT = 100,                    /* events */
    MAX_TEXT = 16 * 1024,          /* bytes of the text of an event */
    MAX_EVENT = 7 * MAX_TEXT + 64, /* most that event_write() writes: each byte
                                      of a text may be a line, of 7 bytes */
    MAX_PIECE = 64,                /* most that piece_write() writes */
    PIECES = 10,                   /* of a stream */
};

/* Makes the next event; its text has at most MAX_TEXT bytes, any. Returns its
 * id. The first is 1; the oldest goes where there are more than KEPT. */
uint64_t event_make(const char *text, size_t len);

/* The ids of the events that are kept: oldest to newest. Without any, newest
 * is oldest - 1. */
uint64_t event_newest(void);
uint64_t event_oldest(void);

/* Writes an event that is kept as text/event-stream: its id, a line of data
 * for each line of its text, an empty line. Returns how many bytes that are. */
size_t event_write(uint64_t id, char *out);

/* Writes what tells a listener that events before `id` may be missing. */
size_t event_write_gap(uint64_t id, char *out);

/* Where a listener begins that has sent this as Last-Event-ID, NULL for
 * nothing. *gap: it has to be told of a gap first. */
uint64_t event_after(const struct http_field *last_id, bool *gap);

/* Writes a piece of a stream, 1 to PIECES, which this event has made. */
size_t piece_write(int piece, uint64_t id, char *out);

#endif
