/*
 * answers.c - which request gets which answer.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>

/* Writes the answer: status line, fields, and the body where it is text. */
static void answer(struct connection *connection, const char *status,
                   const char *fields, const char *body, size_t big)
{
    bool to_head = http_is(connection->head.method, "HEAD");
    int len = snprintf(connection->out, sizeof(connection->out),
                       "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %zu\r\nConnection: %s\r\n%s\r\n%s",
                       status, strlen(body) + big,
                       connection->last ? "close" : "keep-alive", fields,
                       to_head ? "" : body);
    connection->out_len = (size_t)len;
    connection->big = to_head ? 0 : big;
    connection->sent = 0;
}

static void answer_whoami(struct connection *connection)
{
    const SSL *ssl = connection->ssl;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const unsigned char *alpn;
    unsigned alpn_len;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    char body[512];
    snprintf(body, sizeof(body),
             "version: %s\ncipher: %s\nname: %s\nalpn: %.*s\nresumed: %s\n",
             SSL_get_version(ssl), SSL_get_cipher_name(ssl), name ? name : "-",
             alpn ? (int)alpn_len : 1, alpn ? (const char *)alpn : "-",
             SSL_session_reused(ssl) ? "yes" : "no");
    answer(connection, "200 OK", "", body, 0);
}

void answer_request(struct connection *connection)
{
    const struct http_head *head = &connection->head;
    bool has_body = head->body == HTTP_CHUNKED || head->content_length > 0;
    connection->last |= !head->keep_alive || has_body;
    bool root = http_is(head->path, "/");
    bool whoami = http_is(head->path, "/whoami");
    if (has_body)
        answer(connection, "413 Content Too Large", "", "No bodies.\n", 0);
    else if (!root && !whoami && !http_is(head->path, "/big"))
        answer(connection, "404 Not Found", "", "Not Found\n", 0);
    else if (!http_is(head->method, "GET") && !http_is(head->method, "HEAD"))
        answer(connection, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
               "Method Not Allowed\n", 0);
    else if (root)
        answer(connection, "200 OK", "", "Hello, TLS!\n", 0);
    else if (whoami)
        answer_whoami(connection);
    else
        answer(connection, "200 OK", "", "", BIG);
}

void refuse_request(struct connection *connection)
{
    char status[32];
    snprintf(status, sizeof(status), "%d Refused", connection->head.error);
    connection->last = true;
    connection->head.method.len = 0;
    answer(connection, status, "", "Refused\n", 0);
}

const char *big_bytes(size_t at)
{
    static char bytes[ALPHABET + RECORD];
    if (bytes[0] == '\0') {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)('a' + i % ALPHABET);
    }
    return bytes + at % ALPHABET;
}
