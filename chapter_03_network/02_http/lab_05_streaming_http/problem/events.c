/*
 * events.c - the events that are kept, and how they are written. See events.h
 * for the contract, and the README for the format.
 */
#include "events.h"
#include "todo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t event_newest(void)
{
    todo("event_newest");
}

uint64_t event_oldest(void)
{
    todo("event_oldest");
}

uint64_t event_make(const char *text, size_t len)
{
    todo("event_make");
}

size_t event_write(uint64_t id, char *out)
{
    todo("event_write");
}

size_t event_write_gap(uint64_t id, char *out)
{
    todo("event_write_gap");
}

uint64_t event_after(const struct http_field *last_id, bool *gap)
{
    todo("event_after");
}

size_t piece_write(int piece, uint64_t id, char *out)
{
    todo("piece_write");
}
