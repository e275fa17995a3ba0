/*
 * http_response.c - the head of a response, for those who are clients: the
 * proxies. What a request and a response share is in http.c.
 */
#include "http.h"
#include "http_fields.h"

enum { VERSION_LEN = 8, STATUS_LEN = 3 };

/* VERSION SP STATUS SP REASON; the last blank may be missing, too. */
static int read_status_line(struct http_head *head, struct http_text line)
{
    struct http_text version = {line.at, VERSION_LEN};
    size_t len = VERSION_LEN + 1 + STATUS_LEN;
    if (line.len < len || line.at[VERSION_LEN] != ' ')
        return 400;
    for (size_t i = VERSION_LEN + 1; i < len; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return 400;
        head->status = 10 * head->status + line.at[i] - '0';
    }
    if (head->status < 100 || (line.len > len && line.at[len] != ' '))
        return 400;
    if (line.len > len)
        len++;
    head->reason = (struct http_text){line.at + len, line.len - len};
    if (!http_all(head->reason, HTTP_TEXT))
        return 400;
    return http_read_version(head, version);
}

/* RFC 9112, section 6.3. */
static bool never_has_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

int http_response(struct http_head *head, const char *bytes, size_t len,
                  bool to_head)
{
    int state = http_read_head(head, bytes, len, read_status_line);
    if (state != 1)
        return state;
    if (to_head || never_has_body(head->status)) {
        head->body = HTTP_NO_BODY;
        head->content_length = 0;
    } else if (head->body == HTTP_NO_BODY) {
        head->body = HTTP_UNTIL_CLOSE;
        head->keep_alive = false;
    }
    return 1;
}
