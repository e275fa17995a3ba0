/* The HTTP side: libmicrohttpd reads and writes, and calls handle(). */
#include "rest_api.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_BODY = 8192,   /* bytes of a request's content */
    MAX_ERROR = 128,   /* bytes of an error's JSON text */
    MAX_LOCATION = 32, /* of "/items/" and a number */
    MAX_THREADS = 64,
    MOST_ITEMS = 10000,
    CONNECTIONS = 800, /* of all threads; more have to wait */
    TIMEOUT_S = 10,    /* a connection on which nothing happens is closed */
    /* Strict, 0.9.75 answers a request without Host with two heads. */
    STRICT = MHD_VERSION >= 0x01000000,
};

struct options {
    int port, threads, max_items;
};

/* A request on its way: its content gathers here. */
struct request {
    bool too_large;
    size_t len;
    char body[MAX_BODY];
};

/* The command line and the socket: as in lab 3. */

_Noreturn static void usage(void)
{
    fputs("usage: rest_api [--port PORT] [--threads N] [--max-items N]\n",
          stderr);
    exit(2);
}

static int parse_number(const char *text, int least, int most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        number < least || number > most)
        usage();
    return (int)number;
}

static struct options parse_arguments(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {"max-items", required_argument, NULL, 'm'},
        {0},
    };
    struct options options = {.port = 0, .threads = 4, .max_items = 1000};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'p')
            options.port = parse_number(optarg, 0, 65535);
        else if (option == 't')
            options.threads = parse_number(optarg, 1, MAX_THREADS);
        else if (option == 'm')
            options.max_items = parse_number(optarg, 1, MOST_ITEMS);
        else
            usage();
    }
    if (optind != argc)
        usage();
    return options;
}

/* Stores the port that it really has in *port. */
static int open_listener(int asked, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)asked),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 ||
        listen(fd, SOMAXCONN) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        err(1, "127.0.0.1:%d", asked);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Answers. */

/* Queues an answer. json may be NULL: no content. It becomes libmicrohttpd's
 * or is freed. name and value are a further field, or NULL. */
static enum MHD_Result answer(struct MHD_Connection *connection,
                              unsigned status, char *json, const char *name,
                              const char *value)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        json ? strlen(json) : 0, json,
        json ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(json);
        return MHD_NO; /* closes the connection */
    }
    enum MHD_Result result = MHD_YES;
    if (json)
        result = MHD_add_response_header(response, "Content-Type",
                                         "application/json");
    if (name && result == MHD_YES)
        result = MHD_add_response_header(response, name, value);
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response); /* the queue has its own reference */
    return result;
}

/* The reason has no byte that JSON would want to escape. */
static enum MHD_Result answer_error(struct MHD_Connection *connection,
                                    unsigned status, const char *reason,
                                    const char *name, const char *value)
{
    char *json = malloc(MAX_ERROR);
    if (!json)
        return MHD_NO;
    snprintf(json, MAX_ERROR, "{\"error\":\"%s\"}", reason);
    return answer(connection, status, json, name, value);
}

/* A call on the store has failed. */
static enum MHD_Result answer_failure(struct MHD_Connection *connection,
                                      int error, char *json)
{
    if (!json)
        return answer_error(connection, 500, "no memory", NULL, NULL);
    unsigned status = error == EINVAL   ? 400
                      : error == ENOENT ? 404
                      : error == ENOSPC ? 507
                                        : 500;
    return answer(connection, status, json, NULL, NULL);
}

/* The head of a request, before its content is read. */

/* What decides where a request ends, and for whom it is. */
struct framing {
    int hosts, lengths, encodings;
    bool odd; /* something that libmicrohttpd lets through */
};

static enum MHD_Result count_field(void *to, enum MHD_ValueKind kind,
                                   const char *name, const char *value)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz";
    struct framing *framing = to;
    (void)kind;
    if (*name == '\0' || name[strspn(name, token)] != '\0')
        framing->odd = true; /* "Content-Length : 5" */
    if (strcasecmp(name, "Host") == 0)
        framing->hosts++;
    if (strcasecmp(name, "Content-Length") == 0)
        framing->lengths++;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->encodings++;
        if (!value || strcasecmp(value, "chunked") != 0)
            framing->odd = true;
    }
    return MHD_YES;
}

/* Two readers may not agree about where this request ends, or for whom it
 * is. */
static bool is_ambiguous(struct MHD_Connection *connection, const char *version)
{
    struct framing framing = {0};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_field,
                              &framing);
    int least_hosts = strcmp(version, "HTTP/1.0") == 0 ? 0 : 1;
    return framing.odd || framing.hosts < least_hosts || framing.hosts > 1 ||
           framing.lengths + framing.encodings > 1;
}

static bool is_announced_too_large(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(
        connection, MHD_HEADER_KIND, "Content-Length");
    return length && strtoull(length, NULL, 10) > MAX_BODY;
}

/* An answer that is queued here closes the connection: what comes is not read.
 * So only those that must not be read to their end are answered here. */
static enum MHD_Result begin(struct MHD_Connection *connection,
                             const char *version, void **own)
{
    if (is_ambiguous(connection, version))
        return answer_error(connection, 400,
                            "this request can be read in two ways", NULL, NULL);
    if (is_announced_too_large(connection))
        return answer_error(connection, 413, "the body is too large", NULL,
                            NULL);
    struct request *request = malloc(sizeof(*request));
    if (!request)
        return answer_error(connection, 500, "no memory", NULL, NULL);
    request->too_large = false;
    request->len = 0;
    *own = request;
    return MHD_YES;
}

static void take(struct request *request, const char *data, size_t len)
{
    if (len > MAX_BODY - request->len) {
        request->too_large = true;
        return;
    }
    memcpy(request->body + request->len, data, len);
    request->len += len;
}

/* Requests that are complete. */

/* Returns the number behind "/items/", 0 if the path is not one of an item. */
static uint64_t parse_id(const char *path)
{
    static const char prefix[] = "/items/";
    if (strncmp(path, prefix, strlen(prefix)) != 0)
        return 0;
    const char *text = path + strlen(prefix);
    if (text[0] < '1' || text[0] > '9' ||
        text[strspn(text, "0123456789")] != '\0')
        return 0;
    errno = 0;
    uint64_t id = strtoull(text, NULL, 10);
    return errno == 0 ? id : 0;
}

static bool is_json(struct MHD_Connection *connection)
{
    static const char json[] = "application/json";
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                   "Content-Type");
    if (!type || strncasecmp(type, json, strlen(json)) != 0)
        return false;
    type += strlen(json);
    type += strspn(type, " \t");
    return *type == '\0' || *type == ';';
}

enum action { NOTHING, LIST, CREATE, GET, REPLACE, UPDATE, DELETE };

static enum action find_action(const char *method, bool of_item)
{
    static const struct {
        const char *method;
        enum action all, item;
    } actions[] = {
        {"GET", LIST, GET},         {"HEAD", LIST, GET},
        {"POST", CREATE, NOTHING},  {"PUT", NOTHING, REPLACE},
        {"PATCH", NOTHING, UPDATE}, {"DELETE", NOTHING, DELETE},
    };
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(method, actions[i].method) == 0)
            return of_item ? actions[i].item : actions[i].all;
    return NOTHING;
}

/* Does it, and answers. id is that of the item, if it is about one. */
static enum MHD_Result act(struct rest_api *api, enum action action,
                           struct MHD_Connection *connection, uint64_t id,
                           const struct request *request)
{
    char *json, location[MAX_LOCATION];
    int result;
    if (action == CREATE)
        result = rest_api_create(api, request->body, request->len, &id, &json);
    else if (action == REPLACE)
        result = rest_api_replace(api, id, request->body, request->len, &json);
    else if (action == UPDATE)
        result = rest_api_update(api, id, request->body, request->len, &json);
    else if (action == DELETE)
        result = rest_api_delete(api, id, &json);
    else if (action == GET)
        result = rest_api_get(api, id, &json);
    else
        result = rest_api_list(api, &json);

    if (result == -1)
        return answer_failure(connection, errno, json);
    if (action == DELETE)
        return answer(connection, 204, NULL, NULL, NULL);
    if (action != CREATE)
        return answer(connection, 200, json, NULL, NULL);
    snprintf(location, sizeof(location), "/items/%llu", (unsigned long long)id);
    return answer(connection, 201, json, "Location", location);
}

/* First what the head tells, then the body, then the items. */
static enum MHD_Result respond(struct rest_api *api,
                               struct MHD_Connection *connection,
                               const char *path, const char *method,
                               const struct request *request)
{
    uint64_t id = parse_id(path);
    if (request->too_large)
        return answer_error(connection, 413, "the body is too large", NULL,
                            NULL);
    if (id == 0 && strcmp(path, "/items") != 0)
        return answer_error(connection, 404, "there is no such resource", NULL,
                            NULL);
    enum action action = find_action(method, id > 0);
    if (action == NOTHING)
        return answer_error(
            connection, 405, "this method is not allowed", "Allow",
            id > 0 ? "GET, HEAD, PUT, PATCH, DELETE" : "GET, HEAD, POST");
    bool has_body = action == CREATE || action == REPLACE || action == UPDATE;
    if (has_body && !is_json(connection))
        return answer_error(connection, 415, "the body must be JSON", NULL,
                            NULL);
    return act(api, action, connection, id, request);
}

/* Called by the threads of libmicrohttpd: once when the head is there, once for
 * each piece of content, once at the end. */
static enum MHD_Result handle(void *api, struct MHD_Connection *connection,
                              const char *path, const char *method,
                              const char *version, const char *data,
                              size_t *data_len, void **own)
{
    struct request *request = *own;
    if (!request)
        return begin(connection, version, own);
    if (*data_len == 0)
        return respond(api, connection, path, method, request);
    take(request, data, *data_len);
    *data_len = 0; /* all of it was taken */
    return MHD_YES;
}

/* The request is over, or its client is gone. */
static void finish(void *api, struct MHD_Connection *connection, void **own,
                   enum MHD_RequestTerminationCode how)
{
    (void)api;
    (void)connection;
    (void)how;
    free(*own);
}

int main(int argc, char **argv)
{
    struct options options = parse_arguments(argc, argv);
    int port, signal_number;
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL); /* in all threads that follow */
    signal(SIGPIPE, SIG_IGN);

    struct rest_api *api = rest_api_new((size_t)options.max_items);
    if (!api)
        err(1, "rest_api_new");
    int listener = open_listener(options.port, &port);
    /* poll, not epoll: libmicrohttpd 0.9.75 with epoll does not see that a
     * client has gone in the middle of a request. */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, handle, api,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)options.threads, MHD_OPTION_NOTIFY_COMPLETED, finish, api,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
        MHD_OPTION_STRICT_FOR_CLIENT, (int)STRICT, MHD_OPTION_END);
    if (!daemon)
        errx(1, "libmicrohttpd does not start");
    printf("Listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    sigwait(&stop, &signal_number);
    MHD_stop_daemon(daemon); /* closes the listener, too */
    rest_api_free(api);
    return 0;
}
