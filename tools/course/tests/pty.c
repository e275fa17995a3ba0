/*
 * pty.c - plays the user of a program in a terminal.
 *
 *     pty COMMAND… <SCRIPT
 *
 * starts the command in a terminal of 30 rows and 100 columns and does what the
 * script says. Nothing waits for a time: a step waits until what it names has
 * come, and gives up after LIMIT_MS. The steps:
 *
 *     # NAME          what follows shows this; prints "pass course NAME"
 *     see TEXT        waits until the program prints the text; the next step
 *                     looks behind it
 *     unseen TEXT     since the last "see" the text was not printed
 *     keys TEXT       types it; \n, \t, \e and \cX (Ctrl) are keys
 *     size ROWS COLS  makes the window another size
 *     do COMMAND      runs it in a shell
 *     signal NUMBER   sends it to the program
 *     raw, cooked     waits until the terminal gives single keys, or lines
 *     stopped         waits until the program has stopped
 *     hangup          the terminal goes away
 *     ends STATUS     waits for the program's end; 128 + signal if one ended it
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, TICK_MS = 5, ROOM = 1 << 20 };

static int master = -1, slave = -1;
static pid_t program;
static char printed[ROOM + 1]; /* since the last "see" */
static size_t printed_len;
static char name[200];
static bool failed;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void open_terminal(void)
{
    struct winsize size = {.ws_row = 30, .ws_col = 100};
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        err(1, "terminal");
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
        err(1, "%s", ptsname(master));
}

static void start(char **command)
{
    program = fork();
    if (program < 0)
        err(1, "fork");
    if (program > 0)
        return;
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    dup2(slave, STDIN_FILENO);
    dup2(slave, STDOUT_FILENO);
    dup2(slave, STDERR_FILENO);
    execvp(command[0], command);
    err(127, "%s", command[0]);
}

/* Takes what comes within a tick. */
static void take(void)
{
    struct pollfd wait = {.fd = master, .events = POLLIN};
    if (poll(&wait, 1, TICK_MS) <= 0 || printed_len == ROOM)
        return;
    ssize_t got = read(master, printed + printed_len, ROOM - printed_len);
    if (got > 0)
        printed_len += (size_t)got;
    printed[printed_len] = '\0';
}

static void forget(size_t len)
{
    memmove(printed, printed + len, printed_len - len + 1);
    printed_len -= len;
}

static bool has_seen(const char *wanted)
{
    char *found = memmem(printed, printed_len, wanted, strlen(wanted));
    if (found)
        forget((size_t)(found - printed) + strlen(wanted));
    return found != NULL;
}

static bool is_raw(void)
{
    struct termios modes;
    tcgetattr(slave, &modes);
    return !(modes.c_lflag & (ICANON | ECHO));
}

static bool has_stopped(void)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)program, &info, WSTOPPED | WNOHANG) == 0 &&
           info.si_pid == program;
}

static bool has_ended(const char *wanted)
{
    int status;
    if (!program || waitpid(program, &status, WNOHANG) != program)
        return false;
    program = 0;
    int code =
        WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (code != atoi(wanted)) {
        printf("fail course %s: it ended with %d, expected %s\n", name, code,
               wanted);
        failed = true;
    }
    return true;
}

/* Is what the step waits for so? */
static bool is_so(const char *step, const char *rest)
{
    return !strcmp(step, "see")       ? has_seen(rest)
           : !strcmp(step, "raw")     ? is_raw()
           : !strcmp(step, "cooked")  ? !is_raw()
           : !strcmp(step, "stopped") ? has_stopped()
                                      : has_ended(rest);
}

static void wait_until(const char *step, const char *rest)
{
    long long deadline = now_ms() + LIMIT_MS;
    while (!is_so(step, rest)) {
        if (now_ms() > deadline) {
            printf("fail course %s: this did not come: %s %s\n", name, step,
                   rest);
            failed = true;
            return;
        }
        take();
    }
}

static void type(const char *keys)
{
    for (; *keys; keys++) {
        char key = *keys;
        if (key == '\\' && keys[1] == 'c') {
            key = (char)(keys[2] & 0x1f);
            keys += 2;
        } else if (key == '\\') {
            keys++;
            key = '\033';
            if (*keys == 'n')
                key = '\n';
            else if (*keys == 't')
                key = '\t';
        }
        if (write(master, &key, 1) != 1)
            warn("key");
    }
}

static void resize(const char *words)
{
    int rows = 0, columns = 0;
    sscanf(words, "%d %d", &rows, &columns);
    struct winsize size = {.ws_row = (unsigned short)rows,
                           .ws_col = (unsigned short)columns};
    ioctl(master, TIOCSWINSZ, &size);
}

static void finish_part(void)
{
    if (*name && !failed)
        printf("pass course %s\n", name);
    *name = '\0';
}

static void do_step(const char *step, const char *rest)
{
    if (!strcmp(step, "#")) {
        finish_part();
        snprintf(name, sizeof name, "%s", rest);
    } else if (!strcmp(step, "unseen")) {
        if (strstr(printed, rest)) {
            printf("fail course %s: this was printed: %s\n", name, rest);
            failed = true;
        }
    } else if (!strcmp(step, "keys")) {
        type(rest);
    } else if (!strcmp(step, "size")) {
        resize(rest);
    } else if (!strcmp(step, "do")) {
        if (system(rest) != 0)
            warnx("%s", rest);
    } else if (!strcmp(step, "signal")) {
        kill(program, atoi(rest));
    } else if (!strcmp(step, "hangup")) {
        close(slave);
        close(master);
        master = slave = -1;
    } else if (strstr(" see raw cooked stopped ends ", step)) {
        wait_until(step, rest);
    } else {
        errx(1, "no such step: %s", step);
    }
}

/* What the program printed, as details of the failure. */
static void print_details(void)
{
    printf("    ");
    for (size_t i = 0; i < printed_len; i++) {
        if (printed[i] == '\n')
            printf("\n    ");
        else if (printed[i] != '\r')
            putchar(printed[i] == '\033' ? '^' : printed[i]);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    char line[1000];
    if (argc < 2)
        errx(2, "usage: pty COMMAND… <SCRIPT");
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_terminal();
    start(argv + 1);
    while (!failed && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        char *step = line + strspn(line, " ");
        char *rest = step + strcspn(step, " ");
        if (*rest)
            *rest++ = '\0';
        if (*step)
            do_step(step, rest);
    }
    finish_part();
    if (failed)
        print_details();
    if (program > 0)
        kill(-program, SIGKILL);
    return failed;
}
