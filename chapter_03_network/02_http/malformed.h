/*
 * malformed.h - requests that no server and no proxy may accept, and the status
 * that answers each of them. Included by the tests of the labs that read
 * requests with the rules of common/http.h.
 *
 * Each is complete, or its fault is complete: the answer has to come although
 * the client sends nothing more. After it the connection is closed. The faults
 * of bodies are in requests to /echo.
 */
#ifndef MALFORMED_H
#define MALFORMED_H

#include <stddef.h>

struct malformed {
    const char *name;
    const char *bytes;
    size_t len;
    int status;
};

#define MALFORMED(status, name, bytes)         \
    {                                          \
        name, bytes, sizeof(bytes) - 1, status \
    }
/* Faults of the first line, of a field line, of the chunks. */
#define FIRST_LINE(status, name, line) \
    MALFORMED(status, name, line "\r\nHost: test\r\n\r\n")
#define FIELDS(status, name, lines) \
    MALFORMED(status, name, "POST / HTTP/1.1\r\nHost: test\r\n" lines "\r\n")
#define CHUNKS(name, chunks)                          \
    MALFORMED(400, name,                              \
              "POST /echo HTTP/1.1\r\nHost: test\r\n" \
              "Transfer-Encoding: chunked\r\n\r\n" chunks)

#define TIMES_8(text) text text text text text text text text
#define TIMES_16(text) TIMES_8(text) TIMES_8(text)
#define TIMES_32(text) TIMES_16(text) TIMES_16(text)
#define TIMES_64(text) TIMES_32(text) TIMES_32(text)
#define TIMES_128(text) TIMES_64(text) TIMES_64(text)
#define TIMES_256(text) TIMES_128(text) TIMES_128(text)
#define TIMES_512(text) TIMES_256(text) TIMES_256(text)

static const struct malformed malformed[] = {
    /* The first line. */
    FIRST_LINE(400, "no version", "GET /"),
    FIRST_LINE(400, "no target", "GET HTTP/1.1"),
    FIRST_LINE(400, "nothing but blanks", "  "),
    FIRST_LINE(400, "two blanks before the target", "GET  / HTTP/1.1"),
    FIRST_LINE(400, "two blanks before the version", "GET /  HTTP/1.1"),
    FIRST_LINE(400, "a blank behind the version", "GET / HTTP/1.1 "),
    FIRST_LINE(400, "a blank before the method", " GET / HTTP/1.1"),
    FIRST_LINE(400, "a tab for a blank", "GET\t/ HTTP/1.1"),
    FIRST_LINE(400, "a method that is no token", "G(T / HTTP/1.1"),
    FIRST_LINE(400, "no method", " / HTTP/1.1"),
    FIRST_LINE(400, "a version in small letters", "GET / http/1.1"),
    FIRST_LINE(400, "a version of one digit", "GET / HTTP/1"),
    FIRST_LINE(400, "a version of three digits", "GET / HTTP/1.10"),
    FIRST_LINE(400, "a version that is no number", "GET / HTTP/1.x"),
    FIRST_LINE(400, "a version with a comma", "GET / HTTP/1,1"),
    FIRST_LINE(505, "HTTP/2.0", "GET / HTTP/2.0"),
    FIRST_LINE(505, "HTTP/0.9", "GET / HTTP/0.9"),
    FIRST_LINE(400, "a target without slash", "GET hello HTTP/1.1"),
    FIRST_LINE(400, "a fragment", "GET /#top HTTP/1.1"),
    FIRST_LINE(400, "a byte that is not ASCII", "GET /\xc3\xa4 HTTP/1.1"),
    FIRST_LINE(400, "a scheme that is not HTTP", "GET ftp://test/ HTTP/1.1"),
    FIRST_LINE(400, "an absolute target without host", "GET http:/// HTTP/1.1"),
    FIRST_LINE(400, "a user in the target", "GET http://a@test/ HTTP/1.1"),
    FIRST_LINE(400, "an asterisk with GET", "GET * HTTP/1.1"),
    FIRST_LINE(400, "CONNECT without port", "CONNECT test HTTP/1.1"),
    FIRST_LINE(400, "CONNECT with a path", "CONNECT /hello HTTP/1.1"),
    FIRST_LINE(400, "host and port with GET", "GET test:80 HTTP/1.1"),
    FIRST_LINE(414, "a first line of more than 4,096 bytes",
               "GET /" TIMES_512("abcdefgh") " HTTP/1.1"),
    MALFORMED(414, "a first line without end", TIMES_512("abcdefghi")),
    MALFORMED(400, "two empty lines before the request",
              "\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n"),

    /* Line ends and control characters. */
    MALFORMED(400, "LF alone behind the first line",
              "GET / HTTP/1.1\nHost: test\r\n\r\n"),
    MALFORMED(400, "LF alone behind a field",
              "GET / HTTP/1.1\r\nHost: test\n\r\n"),
    MALFORMED(400, "LF alone for the empty line",
              "GET / HTTP/1.1\r\nHost: test\r\n\n"),
    MALFORMED(400, "LF alone before the request",
              "\nGET / HTTP/1.1\r\nHost: test\r\n\r\n"),
    FIRST_LINE(400, "CR within the first line", "GET /\r HTTP/1.1"),
    FIELDS(400, "CR within a value", "A: b\rc\r\n"),
    FIELDS(400, "CR CR LF", "A: b\r\r\n"),
    FIELDS(400, "NUL in a value", "A: b\0c\r\n"),
    FIELDS(400, "NUL in a name", "A\0: b\r\n"),
    FIRST_LINE(400, "NUL in the target", "GET /\0 HTTP/1.1"),
    FIELDS(400, "a control character in a value", "A: b\x01\r\n"),
    FIELDS(400, "DEL in a value", "A: b\x7f\r\n"),

    /* Fields. */
    FIELDS(400, "a blank before the colon", "A : b\r\n"),
    FIELDS(400, "a tab before the colon", "A\t: b\r\n"),
    FIELDS(400, "a folded line", "A: b\r\n c\r\n"),
    FIELDS(400, "a line folded with a tab", "A: b\r\n\tc\r\n"),
    FIELDS(400, "a field without colon", "A\r\n"),
    FIELDS(400, "a field without name", ": b\r\n"),
    FIELDS(400, "a name that is no token", "A(b): c\r\n"),
    FIELDS(400, "a name that is not ASCII", "\xc3\xa4: b\r\n"),
    MALFORMED(400, "a blank before the first field",
              "GET / HTTP/1.1\r\n Host: test\r\n\r\n"),
    MALFORMED(
        431, "a head of more than 8,192 bytes",
        "GET / HTTP/1.1\r\nHost: test\r\n"
        "A: " TIMES_512("abcdefgh") "\r\n"
                                    "B: " TIMES_512("abcdefgh") "\r\n\r\n"),
    MALFORMED(431, "a field without end",
              "GET / HTTP/1.1\r\nHost: test\r\n"
              "A: " TIMES_512("abcdefghijklmnopq")),
    FIELDS(431, "more than 100 fields", TIMES_128("A: b\r\n")),

    /* Host. */
    MALFORMED(400, "no Host", "GET / HTTP/1.1\r\n\r\n"),
    MALFORMED(400, "no Host, absolute target",
              "GET http://test/ HTTP/1.1\r\n\r\n"),
    FIELDS(400, "two Hosts", "Host: test\r\n"),
    FIELDS(400, "two Hosts, one in small letters", "host: other\r\n"),
    MALFORMED(400, "two Hosts with HTTP/1.0",
              "GET / HTTP/1.0\r\nHost: test\r\nHost: test\r\n\r\n"),
    MALFORMED(400, "a blank in Host",
              "GET / HTTP/1.1\r\nHost: one two\r\n\r\n"),
    MALFORMED(400, "two hosts in one Host",
              "GET / HTTP/1.1\r\nHost: one,two\r\n\r\n"),
    MALFORMED(400, "a path in Host",
              "GET / HTTP/1.1\r\nHost: test/hello\r\n\r\n"),
    MALFORMED(400, "a user in Host", "GET / HTTP/1.1\r\nHost: a@test\r\n\r\n"),

    /* Where the body ends. */
    FIELDS(400, "Content-Length and Transfer-Encoding",
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    FIELDS(400, "Transfer-Encoding and Content-Length",
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    FIELDS(400, "two different lengths",
           "Content-Length: 5\r\nContent-Length: 6\r\n"),
    FIELDS(400, "one length twice",
           "Content-Length: 5\r\nContent-Length: 5\r\n"),
    FIELDS(400, "a list of lengths", "Content-Length: 5, 5\r\n"),
    FIELDS(400, "a negative length", "Content-Length: -1\r\n"),
    FIELDS(400, "a length with a plus", "Content-Length: +5\r\n"),
    FIELDS(400, "a length in hexadecimal", "Content-Length: 0x5\r\n"),
    FIELDS(400, "a length with a fraction", "Content-Length: 5.0\r\n"),
    FIELDS(400, "a length with a blank in it", "Content-Length: 1 0\r\n"),
    FIELDS(400, "a length that is empty", "Content-Length:\r\n"),
    FIELDS(413, "2 to the power of 64",
           "Content-Length: 18446744073709551616\r\n"),
    FIELDS(413, "a length of thirty digits",
           "Content-Length: 999999999999999999999999999999\r\n"),
    FIELDS(400, "two Transfer-Encodings",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    FIELDS(400, "two Transfer-Encodings, the second unknown",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    FIELDS(501, "gzip", "Transfer-Encoding: gzip\r\n"),
    FIELDS(501, "gzip, then chunked", "Transfer-Encoding: gzip, chunked\r\n"),
    FIELDS(501, "chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
    FIELDS(501, "xchunked", "Transfer-Encoding: xchunked\r\n"),
    FIELDS(501, "chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n"),
    MALFORMED(400, "chunked with HTTP/1.0",
              "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),

    /* Chunks. */
    CHUNKS("a chunk without size", "\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a size that is no number", "g\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a blank before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a blank behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a size of seventeen digits", "00000000000000005\r\nhello\r\n"),
    CHUNKS("LF alone behind the size", "5\nhello\r\n0\r\n\r\n"),
    CHUNKS("CR alone behind the size", "5\rhello\r\n0\r\n\r\n"),
    CHUNKS("a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("LF alone behind a chunk", "5\r\nhello\n0\r\n\r\n"),
    CHUNKS("nothing behind a chunk", "5\r\nhello0\r\n\r\n"),
    CHUNKS("NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("an extension of more than 4,096 bytes",
           "5;" TIMES_512("abcdefgh") "\r\nhello\r\n0\r\n\r\n"),
    CHUNKS("a control character in a trailer", "0\r\nA: \x01\r\n\r\n"),
    CHUNKS("LF alone behind a trailer", "0\r\nA: b\n\r\n"),
    CHUNKS("LF alone at the end", "0\r\n\n"),
    CHUNKS("CR alone at the end", "0\r\n\rGET / HTTP/1.1\r\n"),
    CHUNKS("trailers of more than 4,096 bytes",
           "0\r\n" TIMES_512("A: bcd\r\n") "\r\n"),
};

enum { NUM_MALFORMED = sizeof(malformed) / sizeof(malformed[0]) };

#endif
