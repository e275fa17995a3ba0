/*
 * http.h - HTTP/1.1 messages without I/O: bytes in, meaning out.
 *
 *     struct http_head head = {0};
 *     for (;;) {
 *         len += what came from the connection, put at bytes + len
 *         int state = http_request(&head, bytes, len);
 *         if (state == -1)
 *             answer with head.error (400, 414, …), then close
 *         if (state == 1)
 *             break;
 *     }
 *     bytes[head.len] is the first byte of the body, if head.body says that
 *     there is one, or of the next request.
 *
 * The rules are those of RFC 9112 (messages) and RFC 9110 (fields); where they
 * let a server choose between refusing and guessing, this parser refuses. Two
 * programs that read one message in two ways is how requests are smuggled.
 *
 * Nothing is allocated and nothing copied: texts point into the caller's
 * bytes, which must stay where they are while the head is in use.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HTTP_MAX_LINE = 4096,  /* bytes of the first line, its CRLF included */
    HTTP_MAX_HEAD = 8192,  /* bytes of the head, its empty line included */
    HTTP_MAX_FIELDS = 100, /* field lines of a head */
};

/* Bytes of the message; no NUL stands behind them. */
struct http_text {
    const char *at;
    size_t len;
};

struct http_field {
    struct http_text name;  /* as sent; names are the same in any case */
    struct http_text value; /* without the blanks around it; may be empty */
};

enum http_body {
    HTTP_NO_BODY,
    HTTP_LENGTH,      /* content_length bytes follow, perhaps 0 */
    HTTP_CHUNKED,     /* chunks follow: http_chunked() */
    HTTP_UNTIL_CLOSE, /* responses only: what comes until the end */
};

/* Set to {0} before a message; filled in as its lines arrive. */
struct http_head {
    struct http_text method; /* requests: "GET"; case matters */
    struct http_text target; /* requests: as sent, "/hello/x?y=1" */
    struct http_text path;   /* requests: the target from its "/" on; "/" if
                                an absolute target has none (then it is not
                                among the bytes); "*" as sent; empty for
                                CONNECT */
    struct http_text host;   /* requests: of the target if it names one, else
                                of the Host field; may be empty */
    int status;              /* responses: 100 to 999 */
    struct http_text reason; /* responses: may be empty */
    int minor;               /* of the version HTTP/1.minor: 0 or 1 */

    enum http_body body;
    uint64_t content_length; /* bytes; 0 unless body is HTTP_LENGTH */
    bool keep_alive;         /* the sender wants more messages after this */
    bool expect_continue;    /* requests: waits for "100 Continue" */

    size_t len; /* bytes of the head, its empty line included; 0 until then */
    int error;  /* after -1: the status that answers such a request */

    size_t line; /* the parser's own: where the first unread line begins */
    size_t seen; /* and how far its end has been looked for */
    bool first;  /* and whether the first line has been read */

    /* Only the first num_fields mean something; the others need not be 0. */
    size_t num_fields;
    struct http_field fields[HTTP_MAX_FIELDS];
};

/*
 * Reads the head of a request. bytes holds the message from its first byte on
 * and len how many have come; a later call passes the same bytes and more, at
 * the same place. (Who has moved them begins anew with {0}.)
 *
 * Returns 1 when the head is complete (head->len), 0 when more bytes are
 * needed, -1 when it can never become a valid head; head->error is then the
 * status to answer with, and later calls say the same. A bad line is told at
 * the latest when its end has come, and the first bad line wins; of two faults
 * in one line either may be told. What only the whole head can show (Host,
 * body) is told at its end, and there 400 goes before 413 and 501. A 400 that
 * is plain from a field's own line may be told there, too.
 *
 * 400  - the first line is not METHOD SP TARGET SP HTTP/d.d CRLF, with exactly
 *        one blank each (one empty line before it is skipped);
 *      - METHOD is not a token (RFC 9110, section 5.6.2), TARGET is not made of
 *        '!' to '~' without '#', or has none of the four forms: /path?query;
 *        http://host/path (or https://, in any case; /path?query may be
 *        missing, a query alone may not follow the host); * with OPTIONS;
 *        host:port with CONNECT, which takes no other. A host has the bytes
 *        that Host may have, at least one; the port of CONNECT is digits;
 *      - a line ends with LF alone, or has CR elsewhere, NUL or another control
 *        character but tab;
 *      - a field's name is empty or not a token: so also a blank before the
 *        colon, a line without colon, a folded line (it begins with a blank);
 *      - HTTP/1.1 without Host, Host twice, or a Host with a byte that no host
 *        and port have: anything but letters, digits and - . _ ~ : [ ] % ! $ &
 *        ' ( ) * + ; = (an empty Host is a good one);
 *      - Content-Length twice (even with one value), or not digits alone;
 *      - Content-Length and Transfer-Encoding together, Transfer-Encoding
 *        twice, or with HTTP/1.0.
 * 413  Content-Length is more than UINT64_MAX.
 * 414  the first line is longer than HTTP_MAX_LINE.
 * 431  the head is longer than HTTP_MAX_HEAD or has more than HTTP_MAX_FIELDS.
 * 501  Transfer-Encoding is anything but "chunked" (in any case), also empty or
 *      a list.
 * 505  the version is HTTP/d.d, but its first digit is not 1. (HTTP/1.2 and
 *      above count as 1.1.)
 *
 * 414 and 431 are told as soon as the bytes are too many. Without
 * Content-Length and Transfer-Encoding a request has no body. keep_alive is
 * true for 1.1 unless Connection lists "close", and for 1.0 only if it lists
 * "keep-alive" and not "close". expect_continue is true for HTTP/1.1 with
 * "Expect: 100-continue"; other expectations are ignored.
 */
int http_request(struct http_head *head, const char *bytes, size_t len);

/*
 * Reads the head of a response, in the same way. to_head: the request was
 * HEAD. error is not for the client here: a proxy answers 502.
 *
 * The first line is HTTP/d.d SP three digits SP reason CRLF (the blank may be
 * missing if the reason is). There is no body after HEAD, 1xx, 204 and 304;
 * else chunked or Content-Length tell it, else it lasts until the connection
 * ends, and keep_alive is false. 1xx is followed by another response. The
 * fields are held to the same rules, Host aside.
 */
int http_response(struct http_head *head, const char *bytes, size_t len,
                  bool to_head);

/* A chunked body on its way. Set to {0} before it. */
struct http_chunked {
    int state; /* the parser's own */
    uint64_t left;
    size_t line;
    bool done; /* its last byte has been taken */
};

/*
 * Takes bytes of a chunked body and returns how many, at least 1 if len is at
 * least 1 and the body is not done: data is the content among them, perhaps
 * empty, in place. The caller goes on with the rest. When chunked->done is
 * true, what was not taken belongs to the next message, and a further call
 * takes 0.
 *
 * Returns -1 for a body that breaks the rules (answer: 400): a size that is
 * not 1 to 16 hexadecimal digits with CRLF or ';' right behind them, a size
 * line (extensions included, they are skipped) of more than HTTP_MAX_LINE
 * bytes, trailer lines (skipped, too, whatever they say: they need not even be
 * fields) and the empty line behind them of more than HTTP_MAX_LINE bytes, a
 * control character in extensions or trailers but tab, LF without CR, CR
 * without LF, a chunk not followed by CRLF. It is told at the byte that breaks
 * the rule. Later calls say the same.
 */
ssize_t http_chunked(struct http_chunked *chunked, const char *bytes,
                     size_t len, struct http_text *data);

/* Texts. */

/* Equal, byte for byte. */
bool http_is(struct http_text text, const char *string);
/* Equal but for the case of ASCII letters. */
bool http_same(struct http_text text, const char *string);
/* A comma-separated list has this element, in any case, blanks around it. */
bool http_list_has(struct http_text list, const char *element);
/* The first field of this name, in any case; NULL if there is none. */
const struct http_field *http_find(const struct http_head *head,
                                   const char *name);

#endif
