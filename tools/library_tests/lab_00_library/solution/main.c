/*
 * A program with a word for everything that a test can do to it:
 *     echo             standard input to standard output
 *     say TEXT…        the arguments, a line each
 *     complain STATUS  a line on stderr, and that status
 *     environment      its variables
 *     wait             until a signal comes
 *     serve            "Listening on …", then echo one connection at a time
 */
#include "library.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t library_read_all(int fd, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = read(fd, (char *)buf + done, len - done);
        if (n == -1)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

char *library_copy(const char *string)
{
    char *copy = malloc(strlen(string) + 1);
    return copy ? strcpy(copy, string) : NULL;
}

static void *nothing(void *argument)
{
    return argument;
}

int library_threads(int count)
{
    pthread_t threads[16];
    int started = 0, error = 0;
    while (started < count && !error) {
        error = pthread_create(&threads[started], NULL, nothing, NULL);
        started += !error;
    }
    while (started > 0)
        pthread_join(threads[--started], NULL);
    return error;
}

int library_open(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int echo(int from, int to)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(from, buf, sizeof(buf))) > 0) {
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(to, buf + done, (size_t)(n - done));
            if (w == -1)
                return 1;
        }
    }
    return n == 0 ? 0 : 1;
}

static int serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) == -1 ||
        listen(listener, 16) == -1 ||
        getsockname(listener, (struct sockaddr *)&address, &len) == -1)
        return 1;
    printf("Listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd == -1)
            return 1;
        echo(fd, fd);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "echo") == 0)
        return echo(STDIN_FILENO, STDOUT_FILENO);
    if (strcmp(word, "serve") == 0)
        return serve();
    if (strcmp(word, "wait") == 0)
        return pause();
    if (strcmp(word, "complain") == 0 && argc == 3) {
        fprintf(stderr, "library: it is bad\n");
        return atoi(argv[2]);
    }
    if (strcmp(word, "environment") == 0) {
        for (char **v = environ; *v; v++)
            puts(*v);
        return 0;
    }
    if (strcmp(word, "say") == 0) {
        for (int i = 2; i < argc; i++)
            puts(argv[i]);
        return 0;
    }
    fprintf(stderr, "usage: library WORD\n");
    return 2;
}
