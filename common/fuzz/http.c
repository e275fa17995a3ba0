/*
 * http.c - a fuzz target for common/http.c and common/http_response.c.
 *
 * The first byte of the input says what the rest is read as: a request, a
 * response (to HEAD or not), or a chunked body. What has to hold, whatever the
 * bytes:
 *
 * - nothing outside the bytes is read: they lie in memory of exactly their
 *   size, and AddressSanitizer looks;
 * - the result does not depend on how the bytes were cut on their way;
 * - texts lie inside the bytes, and what a result says agrees with itself;
 * - a parser that has said its last word says it again.
 *
 * With libFuzzer this is the target. With -DREPLAY it has a main() of its own
 * that runs the files it is given, and each of them changed in RUNS ways.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define require(condition)                                                    \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
                    #condition);                                              \
            abort();                                                          \
        }                                                                     \
    } while (0)

/* A generator of its own: the same input is always cut in the same places. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13; /* xorshift */
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Heads. */

enum kind { REQUEST, RESPONSE, RESPONSE_TO_HEAD, CHUNKED, KINDS };

static int read_head(enum kind kind, struct http_head *head, const char *bytes,
                     size_t len)
{
    if (kind == REQUEST)
        return http_request(head, bytes, len);
    return http_response(head, bytes, len, kind == RESPONSE_TO_HEAD);
}

static void check_text(struct http_text text, const char *bytes, size_t len)
{
    if (text.len > 0)
        require(text.at >= bytes && text.at + text.len <= bytes + len);
}

static void check_request(const struct http_head *head)
{
    require(head->method.len > 0 && head->target.len > 0);
    require(head->path.len > 0 || http_is(head->method, "CONNECT"));
    require(head->minor == 0 || http_find(head, "host"));
    require(head->body != HTTP_UNTIL_CLOSE && head->status == 0);
}

static void check_response(const struct http_head *head, bool to_head)
{
    require(head->status >= 100 && head->status <= 999);
    require(!to_head || head->body == HTTP_NO_BODY);
    require(head->body != HTTP_UNTIL_CLOSE || !head->keep_alive);
    require(!head->expect_continue);
}

static void check_head(enum kind kind, const struct http_head *head,
                       const char *bytes, size_t len)
{
    require(head->len > 0 && head->len <= len && head->len <= HTTP_MAX_HEAD);
    require(head->error == 0 && head->num_fields <= HTTP_MAX_FIELDS);
    require(memcmp(bytes + head->len - 2, "\r\n", 2) == 0);
    require(head->minor == 0 || head->minor == 1);
    require(head->body == HTTP_LENGTH || head->content_length == 0);
    require(!http_find(head, "content-length") ||
            !http_find(head, "transfer-encoding"));
    check_text(head->method, bytes, head->len);
    check_text(head->target, bytes, head->len);
    check_text(head->host, bytes, head->len);
    check_text(head->reason, bytes, head->len);
    if (!http_is(head->path, "/")) /* that one may be no byte of ours */
        check_text(head->path, bytes, head->len);
    for (size_t i = 0; i < head->num_fields; i++) {
        struct http_text value = head->fields[i].value;
        require(head->fields[i].name.len > 0);
        check_text(head->fields[i].name, bytes, head->len);
        check_text(value, bytes, head->len);
        require(!memchr(value.at, '\r', value.len) &&
                !memchr(value.at, '\n', value.len) &&
                !memchr(value.at, '\0', value.len));
    }
    if (kind == REQUEST)
        check_request(head);
    else
        check_response(head, kind == RESPONSE_TO_HEAD);
}

static void same_text(struct http_text one, struct http_text other)
{
    require(one.len == other.len && (one.len == 0 || one.at == other.at));
}

static void same_head(const struct http_head *one,
                      const struct http_head *other)
{
    require(one->error == other->error && one->len == other->len);
    if (one->error)
        return;
    same_text(one->method, other->method);
    same_text(one->target, other->target);
    same_text(one->path, other->path);
    same_text(one->host, other->host);
    same_text(one->reason, other->reason);
    require(one->status == other->status && one->minor == other->minor);
    require(one->body == other->body &&
            one->content_length == other->content_length);
    require(one->keep_alive == other->keep_alive &&
            one->expect_continue == other->expect_continue);
    require(one->num_fields == other->num_fields);
    for (size_t i = 0; i < one->num_fields; i++) {
        same_text(one->fields[i].name, other->fields[i].name);
        same_text(one->fields[i].value, other->fields[i].value);
    }
}

static void try_head(enum kind kind, const char *bytes, size_t len,
                     uint32_t random)
{
    struct http_head whole = {0}, cut = {0};
    int state = read_head(kind, &whole, bytes, len);
    require(state == (whole.error ? -1 : whole.len > 0));
    if (state == 1)
        check_head(kind, &whole, bytes, len);

    int cut_state = 0;
    for (size_t come = 0; come < len && cut_state == 0;) {
        come += 1 + next_random(&random) % (len - come);
        /* Only what has come is there to be read. */
        cut_state = read_head(kind, &cut, bytes, come);
    }
    require(cut_state == state);
    same_head(&whole, &cut);
    require(read_head(kind, &cut, bytes, len) == state || state == 0);
    same_head(&whole, &cut);
}

/* The same with each length in memory of its own, to see reads behind it. */
static void try_lengths(enum kind kind, const char *bytes, size_t len)
{
    size_t step = len / 16 + 1;
    for (size_t most = 1; most <= len; most += step) {
        char *exact = malloc(most);
        struct http_head head = {0};
        require(exact);
        memcpy(exact, bytes, most);
        read_head(kind, &head, exact, most);
        free(exact);
    }
}

/* Chunked bodies. */

struct body {
    char *content;
    size_t len, taken;
    bool done, bad;
};

/* Takes bytes in pieces of at most `most` bytes, or of random sizes if 0. */
static struct body read_body(const char *bytes, size_t len, size_t most,
                             uint32_t random)
{
    struct body body = {.content = malloc(len + 1)};
    struct http_chunked chunked = {0};
    require(body.content);
    while (body.taken < len && !body.done) {
        size_t rest = len - body.taken;
        size_t size = most > 0 ? most : 1 + next_random(&random) % rest;
        size = size < rest ? size : rest;
        struct http_text data;
        ssize_t n = http_chunked(&chunked, bytes + body.taken, size, &data);
        if (n == -1) {
            require(!chunked.done);
            require(http_chunked(&chunked, "0", 1, &data) == -1);
            body.bad = true;
            return body;
        }
        require(n >= 1 && (size_t)n <= size);
        check_text(data, bytes + body.taken, (size_t)n);
        memcpy(body.content + body.len, data.at, data.len);
        body.len += data.len;
        body.taken += (size_t)n;
        body.done = chunked.done;
    }
    struct http_text data;
    if (body.done)
        require(http_chunked(&chunked, "0", 1, &data) == 0 && data.len == 0);
    return body;
}

static void try_body(const char *bytes, size_t len, uint32_t random)
{
    struct body whole = read_body(bytes, len, len, 0);
    struct body single = read_body(bytes, len, 1, 0);
    struct body cut = read_body(bytes, len, 0, random);
    const struct body *others[] = {&single, &cut};
    for (int i = 0; i < 2; i++) {
        require(whole.done == others[i]->done && whole.bad == others[i]->bad);
        if (!whole.bad)
            require(whole.taken == others[i]->taken &&
                    whole.len == others[i]->len &&
                    memcmp(whole.content, others[i]->content, whole.len) == 0);
    }
    free(whole.content);
    free(single.content);
    free(cut.content);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 2)
        return 0;
    enum kind kind = (enum kind)(data[0] % KINDS);
    size_t len = size - 1;
    char *bytes = malloc(len); /* exactly */
    uint32_t random = 2463534242u;
    require(bytes);
    memcpy(bytes, data + 1, len);
    for (size_t i = 0; i < len; i++)
        random = random * 31 + (unsigned char)bytes[i];
    random |= 1;
    if (kind == CHUNKED) {
        try_body(bytes, len, random);
    } else {
        try_head(kind, bytes, len, random);
        try_lengths(kind, bytes, len);
    }
    free(bytes);
    return 0;
}

#ifdef REPLAY
enum { RUNS = 300, MOST = 64 * 1024 };

/* Writes, swaps, takes out or doubles bytes; returns the new length. */
static size_t change(unsigned char *data, size_t len, uint32_t *random)
{
    static const char bytes[] = "\r\n\t :;,/*%#0f1\x00\x7f\x80";
    size_t at = next_random(random) % len;
    size_t some = 1 + next_random(random) % (len - at);
    switch (next_random(random) % 4) {
    case 0:
        data[at] = (unsigned char)bytes[next_random(random) % sizeof(bytes)];
        return len;
    case 1:
        data[at] = (unsigned char)next_random(random);
        return len;
    case 2:
        memmove(data + at, data + at + some, len - at - some);
        return len - some;
    default:
        if (len + some > MOST)
            return len;
        memmove(data + at + some, data + at, len - at);
        return len + some;
    }
}

static int replay(const char *path)
{
    static unsigned char original[MOST], data[MOST];
    FILE *file = fopen(path, "rbe");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(original, 1, sizeof(original), file);
    fclose(file);
    LLVMFuzzerTestOneInput(original, size);
    uint32_t random = 2463534242u;
    for (int run = 0; run < RUNS && size > 0; run++) {
        size_t len = size;
        memcpy(data, original, size);
        for (int i = 0; i < 4 && len > 0 && (i == 0 || run % 4 >= i); i++)
            len = change(data, len, &random);
        LLVMFuzzerTestOneInput(data, len);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;
    for (int i = 1; i < argc; i++)
        status |= replay(argv[i]);
    return status;
}
#endif
