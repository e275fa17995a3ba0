/*
 * chat_server.h - what the chat server does with bytes and names. No I/O here.
 *
 *     struct framer framer;
 *     framer_init(&framer);
 *     while ((len = recv(fd, buf, sizeof(buf), 0)) > 0) {
 *         const char *bytes = buf;
 *         size_t left = (size_t)len;
 *         enum framer_event event;
 *         while ((event = framer_next(&framer, &bytes, &left)) != FRAMER_MORE)
 *             if (event == FRAMER_LINE)
 *                 puts(framer.line);
 *     }
 *
 * TCP carries bytes, not lines: a line may come in many pieces, and one piece
 * may hold many lines. A framer makes lines of them. Each client needs one of
 * its own; there is nothing to free.
 *
 * What comes out of it may be shown on any terminal: a control byte is a '?'.
 * No pointer is NULL, unless it says so below.
 */
#ifndef CHAT_SERVER_H
#define CHAT_SERVER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    FRAMER_MOST = 1000, /* bytes in a line, its end not counted */
    NICK_MOST = 16,     /* bytes in a nick */
};

enum framer_event {
    FRAMER_MORE,     /* the bytes are used up */
    FRAMER_LINE,     /* framer->line is the next line */
    FRAMER_TOO_LONG, /* the next line had more than FRAMER_MOST bytes */
};

struct framer {
    /* The line, with a NUL behind it; until it is whole, what has come of it.
     * One byte more than a line needs: a CR may come before its newline. */
    char line[FRAMER_MOST + 2];
    /* For the framer itself, to be used in any way; nobody else looks. */
    size_t len;
    bool whole;
};

/* Makes it ready for the first byte of a connection. */
void framer_init(struct framer *framer);

/*
 * Takes bytes from the front of *bytes, up to the end of one line, and moves
 * *bytes and *left on: what it has taken is never needed again.
 *
 *   - A line ends with a newline (LF, 0x0a), or with CR LF (0x0d 0x0a). Its end
 *     does not belong to it. It may be empty.
 *   - A CR elsewhere is a control byte like others. Of several before the LF,
 *     only the last one belongs to the end.
 *   - Control bytes (0x00 to 0x1f and 0x7f) come out as '?', one for each. All
 *     other bytes stay as they are, those from 0x80 to 0xff, too.
 *   - A line of more than FRAMER_MOST bytes is lost as a whole, however long it
 *     is. The next one is not concerned.
 *
 * However the bytes are cut into calls, the events are the same.
 *
 * Returns
 *     FRAMER_LINE      a line has ended: it is in framer->line, as a string,
 *                      until the next call
 *     FRAMER_TOO_LONG  a line has ended that was too long; what framer->line
 *                      holds means nothing
 *     FRAMER_MORE      *left is 0, and no line has ended. What has come of the
 *                      next line is kept in the framer.
 * It does not read behind *left bytes, and does not change them. With *left 0
 * it returns FRAMER_MORE; *bytes may be NULL then.
 */
enum framer_event framer_next(struct framer *framer, const char **bytes,
                              size_t *left);

/*
 * Whether this may be somebody's nick: 1 to NICK_MOST bytes, only A to Z, a to
 * z, 0 to 9, '-' and '_', and it does not begin with "user", in small or
 * capital letters. Those names are the server's: nobody can call himself
 * user1, or USER1.
 */
bool nick_allowed(const char *nick);

#endif
