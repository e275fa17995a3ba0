/*
 * handshakes - one TLS connection after the other, for a while.
 *
 *     handshakes PORT PID SECONDS tls1.3|tls1.2 first|later
 *
 * Each makes its handshake, asks for / and closes. "first" knows nothing of
 * the server, "later" resumes the session of the connection before. Prints
 * connections per second, the server's CPU time for each, and the median of
 * connect + handshake + answer.
 */
#include "timing.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1000000, WARM_UP = 20 };

static SSL_SESSION *session;

/* The first number of schedstat: nanoseconds on a core. The servers have one
 * thread each; utime and stime (proc(5)) are counted in hundredths of a second,
 * too coarse for a run this short. */
static double server_cpu_us(const char *pid)
{
    char path[64];
    unsigned long long ns;
    snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        err(1, "%s", path);
    if (fscanf(file, "%llu", &ns) != 1)
        errx(1, "%s: not what was expected", path);
    fclose(file);
    return (double)ns / 1e3;
}

static void connect_once(SSL_CTX *ctx, int port, bool later)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
        err(1, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    SSL *ssl = SSL_new(ctx);
    if (!ssl || !SSL_set_fd(ssl, fd) ||
        !SSL_set_tlsext_host_name(ssl, "one.test"))
        errx(1, "OpenSSL cannot be set up");
    if (later && session)
        SSL_set_session(ssl, session);
    char answer[4096];
    if (SSL_connect(ssl) != 1 ||
        SSL_write(ssl, request, sizeof(request) - 1) <= 0 ||
        SSL_read(ssl, answer, sizeof(answer)) <= 0)
        errx(1, "no answer");
    if (SSL_session_reused(ssl) != (later && session))
        errx(1, "the session was %s", later ? "not resumed" : "resumed");
    SSL_SESSION_free(session);
    session = SSL_get1_session(ssl);
    while (SSL_read(ssl, answer, sizeof(answer)) > 0)
        ;
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        errx(2, "usage: handshakes PORT PID SECONDS tls1.3|tls1.2 first|later");
    int port = atoi(argv[1]);
    double seconds = atof(argv[3]);
    int version =
        strcmp(argv[4], "tls1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    bool later = strcmp(argv[5], "later") == 0;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    double *times = malloc(MOST * sizeof(*times));
    if (!ctx || !times || !SSL_CTX_set_min_proto_version(ctx, version) ||
        !SSL_CTX_set_max_proto_version(ctx, version))
        errx(1, "OpenSSL cannot be set up");
    for (int i = 0; i < WARM_UP; i++)
        connect_once(ctx, port, later);
    int count = 0;
    double cpu = server_cpu_us(argv[2]);
    uint64_t start = now_ns(), now = start;
    while ((double)(now - start) < seconds * 1e9 && count < MOST) {
        connect_once(ctx, port, later);
        uint64_t done = now_ns();
        times[count++] = (double)(done - now) / 1e3;
        now = done;
    }
    cpu = server_cpu_us(argv[2]) - cpu;
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("connections_per_s %.0f\n", count / ((double)(now - start) / 1e9));
    printf("cpu_us %.1f\n", cpu / count);
    printf("p50_us %.1f\n", times[count / 2]);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    free(times);
    return 0;
}
