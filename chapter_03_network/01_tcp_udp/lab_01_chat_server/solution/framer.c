/* framer.c - bytes into lines, and what may be a nick. */
#include "chat_server.h"

#include <string.h>
#include <strings.h>

void framer_init(struct framer *framer)
{
    framer->len = 0;
    framer->whole = false;
}

/* Makes a string of a line that has ended. */
static enum framer_event finish(struct framer *framer)
{
    framer->whole = true;
    if (framer->len > 0 && framer->line[framer->len - 1] == '\r')
        framer->len--;
    if (framer->len > FRAMER_MOST)
        return FRAMER_TOO_LONG;
    for (size_t i = 0; i < framer->len; i++) {
        unsigned char byte = (unsigned char)framer->line[i];
        if (byte < 0x20 || byte == 0x7f)
            framer->line[i] = '?';
    }
    framer->line[framer->len] = '\0';
    return FRAMER_LINE;
}

/* When line is full to its last byte, it is too long even if that is a CR: what
 * finds no room is not missed. */
enum framer_event framer_next(struct framer *framer, const char **bytes,
                              size_t *left)
{
    if (framer->whole)
        framer_init(framer);
    if (*left == 0)
        return FRAMER_MORE;
    const char *newline = memchr(*bytes, '\n', *left);
    size_t taken = newline ? (size_t)(newline - *bytes) : *left;
    size_t room = sizeof(framer->line) - framer->len;
    size_t kept = taken < room ? taken : room;
    memcpy(framer->line + framer->len, *bytes, kept);
    framer->len += kept;
    if (newline)
        taken++;
    *bytes += taken;
    *left -= taken;
    return newline ? finish(framer) : FRAMER_MORE;
}

bool nick_allowed(const char *nick)
{
    size_t len = strspn(nick, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return len >= 1 && len <= NICK_MOST && nick[len] == '\0' &&
           strncasecmp(nick, "user", 4) != 0;
}
