/*
 * http.c - requests, chunked bodies, texts. See http.h for the rules.
 *
 * A head is read line by line. What has been looked at is not looked at again
 * when more bytes come, but for the line that is not complete: of that only
 * `seen` is remembered, how far there is no LF.
 *
 * Functions that read a part of a head return 0, or the status that refuses
 * the message.
 */
#include "http.h"
#include "http_fields.h"

#include <string.h>

/* Texts. */

/* Each byte stands in one line of this table. */
static const unsigned char classes[256] = {
    ['A' ... 'Z'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['a' ... 'z'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['0' ... '9'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['!'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['$' ... '\''] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['*' ... '+'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['-' ... '.'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['_'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['~'] = HTTP_TOKEN | HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['^'] = HTTP_TOKEN | HTTP_TARGET | HTTP_TEXT,
    ['`'] = HTTP_TOKEN | HTTP_TARGET | HTTP_TEXT,
    ['|'] = HTTP_TOKEN | HTTP_TARGET | HTTP_TEXT,
    ['#'] = HTTP_TOKEN | HTTP_TEXT,
    ['(' ... ')'] = HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    [':' ... ';'] = HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['='] = HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['['] = HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    [']'] = HTTP_HOST | HTTP_TARGET | HTTP_TEXT,
    ['"'] = HTTP_TARGET | HTTP_TEXT,
    [','] = HTTP_TARGET | HTTP_TEXT,
    ['/'] = HTTP_TARGET | HTTP_TEXT,
    ['<'] = HTTP_TARGET | HTTP_TEXT,
    ['>' ... '@'] = HTTP_TARGET | HTTP_TEXT,
    ['\\'] = HTTP_TARGET | HTTP_TEXT,
    ['{'] = HTTP_TARGET | HTTP_TEXT,
    ['}'] = HTTP_TARGET | HTTP_TEXT,
    ['\t'] = HTTP_TEXT,
    [' '] = HTTP_TEXT,
    [0x80 ... 0xff] = HTTP_TEXT,
};

/* How many bytes at the front are of this class. */
static size_t span(struct http_text text, enum http_class class)
{
    size_t len = 0;
    while (len < text.len && classes[(unsigned char)text.at[len]] & class)
        len++;
    return len;
}

bool http_all(struct http_text text, enum http_class class)
{
    return span(text, class) == text.len;
}

bool http_is(struct http_text text, const char *string)
{
    return text.len == strlen(string) && memcmp(text.at, string, text.len) == 0;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
}

bool http_same(struct http_text text, const char *string)
{
    if (text.len != strlen(string))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (lower(text.at[i]) != lower(string[i]))
            return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct http_text skip(struct http_text text, size_t len)
{
    return (struct http_text){text.at + len, text.len - len};
}

static struct http_text trim(struct http_text text)
{
    while (text.len > 0 && is_blank(text.at[0]))
        text = skip(text, 1);
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

/* Takes what stands before the separator, or all of it, off the text. */
static struct http_text cut(struct http_text *text, char separator)
{
    const char *end = memchr(text->at, separator, text->len);
    struct http_text part = *text;
    if (end)
        part.len = (size_t)(end - text->at);
    *text = skip(*text, end ? part.len + 1 : part.len);
    return part;
}

bool http_list_has(struct http_text list, const char *element)
{
    while (list.len > 0)
        if (http_same(trim(cut(&list, ',')), element))
            return true;
    return false;
}

const struct http_field *http_find(const struct http_head *head,
                                   const char *name)
{
    for (size_t i = 0; i < head->num_fields; i++)
        if (http_same(head->fields[i].name, name))
            return &head->fields[i];
    return NULL;
}

/* Heads. */

/* Digits alone, into *number: 0, 400, or 413 if they are too much. */
static int read_number(struct http_text text, uint64_t *number)
{
    int status = text.len == 0 ? 400 : 0;
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.at[i]))
            return 400;
        unsigned digit = (unsigned)(text.at[i] - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            status = 413;
        *number = 10 * *number + digit;
    }
    return status;
}

/* A message has one body, and all who read it must see the same one. */
static int read_framing(struct http_head *head, const struct http_field *length,
                        const struct http_field *encoding)
{
    if (encoding) {
        if (length || head->minor == 0)
            return 400;
        if (!http_same(encoding->value, "chunked"))
            return 501;
        head->body = HTTP_CHUNKED;
    } else if (length) {
        head->body = HTTP_LENGTH;
        return read_number(length->value, &head->content_length);
    }
    return 0;
}

static int read_host(struct http_head *head, const struct http_field *host)
{
    if (!host)
        return head->minor == 1 ? 400 : 0;
    if (head->host.len == 0) /* the target did not name one */
        head->host = host->value;
    return http_all(host->value, HTTP_HOST) ? 0 : 400;
}

/* The empty line has come: what do the fields say about the message? */
static int read_fields(struct http_head *head)
{
    bool is_request = head->method.len > 0, close = false, keep = false;
    const struct http_field *host = NULL, *length = NULL, *encoding = NULL;
    for (size_t i = 0; i < head->num_fields; i++) {
        const struct http_field *field = &head->fields[i], **only = NULL;
        if (is_request && http_same(field->name, "host"))
            only = &host;
        else if (http_same(field->name, "content-length"))
            only = &length;
        else if (http_same(field->name, "transfer-encoding"))
            only = &encoding;
        else if (http_same(field->name, "connection")) {
            close = close || http_list_has(field->value, "close");
            keep = keep || http_list_has(field->value, "keep-alive");
        } else if (is_request && http_same(field->name, "expect") &&
                   http_same(field->value, "100-continue"))
            head->expect_continue = head->minor == 1;
        if (only && *only)
            return 400;
        if (only)
            *only = field;
    }
    head->keep_alive = !close && (head->minor == 1 || keep);
    int status = is_request ? read_host(head, host) : 0;
    return status ? status : read_framing(head, length, encoding);
}

/* NAME:VALUE. A name is a token, so there is no blank in it or before it. */
static int read_field(struct http_head *head, struct http_text line)
{
    if (head->num_fields == HTTP_MAX_FIELDS)
        return 431;
    struct http_text name = {line.at, span(line, HTTP_TOKEN)};
    if (name.len == 0 || name.len == line.len || line.at[name.len] != ':')
        return 400;
    struct http_text value = skip(line, name.len + 1);
    if (!http_all(value, HTTP_TEXT))
        return 400;
    head->fields[head->num_fields++] =
        (struct http_field){.name = name, .value = trim(value)};
    return 0;
}

/* end is where the line's LF is. */
static int read_line(struct http_head *head, const char *bytes, const char *end,
                     int (*first_line)(struct http_head *, struct http_text))
{
    struct http_text line = {bytes + head->line, 0};
    if (end == line.at || end[-1] != '\r')
        return 400;
    line.len = (size_t)(end - line.at) - 1;
    size_t next = (size_t)(end - bytes) + 1;
    bool may_be_skipped = head->line == 0;
    head->line = head->seen = next;

    if (!head->first) {
        if (line.len == 0 && may_be_skipped)
            return 0;
        head->first = true;
        return first_line(head, line);
    }
    if (line.len > 0)
        return read_field(head, line);
    int status = read_fields(head);
    if (status == 0)
        head->len = next;
    return status;
}

int http_read_head(struct http_head *head, const char *bytes, size_t len,
                   int (*first_line)(struct http_head *head,
                                     struct http_text line))
{
    while (head->len == 0 && head->error == 0) {
        size_t most = head->first ? HTTP_MAX_HEAD : head->line + HTTP_MAX_LINE;
        size_t stop = len < most ? len : most;
        const char *end = memchr(bytes + head->seen, '\n', stop - head->seen);
        if (end) {
            head->error = read_line(head, bytes, end, first_line);
        } else if (len < most) {
            head->seen = len;
            return 0;
        } else {
            head->error = head->first ? 431 : 414;
        }
    }
    return head->error ? -1 : 1;
}

int http_read_version(struct http_head *head, struct http_text version)
{
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 ||
        !is_digit(version.at[5]) || version.at[6] != '.' ||
        !is_digit(version.at[7]))
        return 400;
    head->minor = version.at[7] != '0';
    return version.at[5] == '1' ? 0 : 505;
}

/* HOST:PORT, what CONNECT connects to. */
static int read_authority(struct http_head *head)
{
    struct http_text host = head->target;
    size_t port = 0;
    while (port < host.len && is_digit(host.at[host.len - 1 - port]))
        port++;
    if (port == 0 || port + 2 > host.len ||
        host.at[host.len - 1 - port] != ':' || !http_all(host, HTTP_HOST))
        return 400;
    head->host = host;
    return 0;
}

/* http://HOST or http://HOST/PATH, as it is sent to a proxy. */
static int read_absolute(struct http_head *head)
{
    struct http_text rest = head->target;
    struct http_text scheme = cut(&rest, ':');
    if ((!http_same(scheme, "http") && !http_same(scheme, "https")) ||
        rest.len < 2 || memcmp(rest.at, "//", 2) != 0)
        return 400;
    struct http_text path = rest = skip(rest, 2);
    head->host = cut(&rest, '/');
    path = skip(path, head->host.len);
    head->path = path.len > 0 ? path : (struct http_text){"/", 1};
    return head->host.len > 0 && http_all(head->host, HTTP_HOST) ? 0 : 400;
}

static int read_target(struct http_head *head)
{
    if (head->target.len == 0 || !http_all(head->target, HTTP_TARGET))
        return 400;
    if (http_is(head->method, "CONNECT"))
        return read_authority(head);
    head->path = head->target;
    if (head->target.at[0] == '/')
        return 0;
    if (http_is(head->target, "*"))
        return http_is(head->method, "OPTIONS") ? 0 : 400;
    return read_absolute(head);
}

/* METHOD SP TARGET SP VERSION. A third blank would be in the version. */
static int read_request_line(struct http_head *head, struct http_text line)
{
    head->method = cut(&line, ' ');
    head->target = cut(&line, ' ');
    if (head->method.len == 0 || !http_all(head->method, HTTP_TOKEN))
        return 400;
    int status = http_read_version(head, line);
    return status ? status : read_target(head);
}

int http_request(struct http_head *head, const char *bytes, size_t len)
{
    return http_read_head(head, bytes, len, read_request_line);
}

/* Chunked bodies: a machine that goes from byte to byte, and through the
 * content of a chunk in one step. */

enum {
    SIZE,       /* hexadecimal digits */
    EXTENSION,  /* behind the size, up to CR */
    SIZE_LF,    /* the LF of a size line */
    DATA,       /* `left` bytes of content */
    DATA_CR,    /* and what must follow them */
    DATA_LF,    /* … */
    TRAILER,    /* the begin of a line behind the last chunk */
    TRAILER_IN, /* within such a line */
    TRAILER_LF, /* its LF */
    END_LF,     /* the LF of the empty line that ends it all */
    BAD,
};

enum { MAX_DIGITS = 16 };

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    int letter = lower(c);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static int take_size(struct http_chunked *chunked, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0 && chunked->line <= MAX_DIGITS) {
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        return SIZE;
    }
    if (chunked->line == 1)
        return BAD;
    return c == ';' ? EXTENSION : c == '\r' ? SIZE_LF : BAD;
}

/* Within a line of text. */
static int take_text(char c, int here, int at_cr)
{
    if (c == '\r')
        return at_cr;
    return classes[(unsigned char)c] & HTTP_TEXT ? here : BAD;
}

/* The state after this byte, which is not content. */
static int take(struct http_chunked *chunked, char c)
{
    switch (chunked->state) {
    case SIZE:
        return take_size(chunked, c);
    case EXTENSION:
        return take_text(c, EXTENSION, SIZE_LF);
    case SIZE_LF:
        chunked->line = 0;
        if (c != '\n')
            return BAD;
        return chunked->left > 0 ? DATA : TRAILER;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        chunked->line = 0;
        return c == '\n' ? SIZE : BAD;
    case TRAILER:
        return take_text(c, TRAILER_IN, END_LF);
    case TRAILER_IN:
        return take_text(c, TRAILER_IN, TRAILER_LF);
    case TRAILER_LF:
        return c == '\n' ? TRAILER : BAD;
    case END_LF:
        chunked->done = c == '\n';
        return c == '\n' ? END_LF : BAD;
    default:
        return BAD;
    }
}

ssize_t http_chunked(struct http_chunked *chunked, const char *bytes,
                     size_t len, struct http_text *data)
{
    size_t i = 0;
    while (i < len && !chunked->done && chunked->state != BAD &&
           chunked->state != DATA) {
        bool too_long = ++chunked->line > HTTP_MAX_LINE;
        chunked->state = too_long ? BAD : take(chunked, bytes[i]);
        i++;
    }
    *data = (struct http_text){bytes + i, 0};
    if (chunked->state == BAD)
        return -1;
    if (chunked->state == DATA) {
        data->len = len - i < chunked->left ? len - i : (size_t)chunked->left;
        chunked->left -= data->len;
        if (chunked->left == 0)
            chunked->state = DATA_CR;
    }
    return (ssize_t)(i + data->len);
}
