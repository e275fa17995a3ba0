/*
 * resources.c - what the server has to say, and how it is written.
 */
#include "raw_http.h"

#include <string.h>
#include <time.h>

#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"
#define BINARY "Content-Type: application/octet-stream\r\n"

enum { DATE_SIZE = 32 };

static const char *status_line(int status)
{
    switch (status) {
    case 404:
        return "404 Not Found";
    case 405:
        return "405 Method Not Allowed";
    case 408:
        return "408 Request Timeout";
    case 413:
        return "413 Content Too Large";
    case 414:
        return "414 URI Too Long";
    case 431:
        return "431 Request Header Fields Too Large";
    case 501:
        return "501 Not Implemented";
    case 505:
        return "505 HTTP Version Not Supported";
    default:
        return "400 Bad Request";
    }
}

struct answer answer_error(int status)
{
    const char *text = status_line(status);
    return (struct answer){text, PLAIN, text, strlen(text)};
}

static struct answer not_allowed(const char *fields)
{
    struct answer answer = answer_error(405);
    answer.fields = fields;
    return answer;
}

static struct answer success(const char *text, size_t len)
{
    return (struct answer){"200 OK", PLAIN, text, len};
}

/* "Fri, 20 Nov 2026 12:00:00 GMT" (RFC 9110, section 5.6.7). Making it costs
 * more than the rest of an answer, so it is made once a second. */
static const char *date(void)
{
    static time_t made;
    static char text[DATE_SIZE];
    time_t now = time(NULL);
    if (now != made) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(text, sizeof(text), "%a, %d %b %Y %T GMT", &utc);
        made = now;
    }
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hello, NAME! with each %XX of NAME as the byte that it stands for. */
static struct answer hello(struct http_text name)
{
    static char text[HTTP_MAX_LINE + 16] = "Hello, ";
    size_t len = strlen("Hello, ");
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.at[i];
        if (byte == '%') {
            int high = i + 2 < name.len ? hex_digit(name.at[i + 1]) : -1;
            int low = i + 2 < name.len ? hex_digit(name.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return answer_error(400);
            byte = (char)(high << 4 | low);
            i += 2;
        }
        text[len++] = byte;
    }
    text[len++] = '!';
    return success(text, len);
}

/* The path without its query. */
static struct http_text resource_of(const struct http_head *head)
{
    struct http_text path = head->path;
    const char *query = path.len > 0 ? memchr(path.at, '?', path.len) : NULL;
    if (query)
        path.len = (size_t)(query - path.at);
    return path;
}

/* What stands behind /hello/: one part of a path, not empty. */
static bool is_hello(struct http_text path, struct http_text *name)
{
    size_t len = strlen("/hello/");
    if (path.len <= len || memcmp(path.at, "/hello/", len) != 0)
        return false;
    *name = (struct http_text){path.at + len, path.len - len};
    return !memchr(name->at, '/', name->len);
}

bool resource_wants_body(const struct http_head *head)
{
    return http_is(head->method, "POST") && http_is(resource_of(head), "/echo");
}

struct answer resource_answer(const struct http_head *head, const char *content,
                              size_t len)
{
    struct http_text path = resource_of(head), name = {0};
    if (resource_wants_body(head))
        return (struct answer){"200 OK", BINARY, content, len};
    if (http_is(path, "/echo"))
        return not_allowed(PLAIN "Allow: POST\r\n");
    bool is_root = http_is(path, "/"), is_time = http_is(path, "/time");
    if (!is_root && !is_time && !is_hello(path, &name))
        return answer_error(404);
    if (!http_is(head->method, "GET") && !http_is(head->method, "HEAD"))
        return not_allowed(PLAIN "Allow: GET, HEAD\r\n");
    if (is_root)
        return success("Hello, World!", strlen("Hello, World!"));
    return is_time ? success(date(), strlen(date())) : hello(name);
}

/* Writes the text and returns where it ends. */
static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_number(char *at, size_t number)
{
    if (number > 9)
        at = put_number(at, number / 10);
    *at = (char)('0' + number % 10);
    return at + 1;
}

size_t answer_write(const struct answer *answer, const struct http_head *head,
                    bool last, char *out)
{
    char *at = put(out, "HTTP/1.1 ");
    at = put(at, answer->status);
    at = put(at, "\r\nDate: ");
    at = put(at, date());
    at = put(at, "\r\nContent-Length: ");
    at = put_number(at, answer->len);
    at = put(at, "\r\n");
    at = put(at, answer->fields);
    if (last)
        at = put(at, "Connection: close\r\n");
    else if (head->minor == 0)
        at = put(at, "Connection: keep-alive\r\n");
    at = put(at, "\r\n");
    if (answer->len > 0 && !http_is(head->method, "HEAD"))
        at = mempcpy(at, answer->body, answer->len);
    return (size_t)(at - out);
}
