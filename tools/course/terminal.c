#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t taken;

void terminal_give_back(void)
{
    /* In the background it belongs to somebody else, who set it as he likes. */
    if (taken && tcgetpgrp(STDIN_FILENO) == getpgrp())
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    taken = 0;
}

/* The handler is gone already; returning makes the crash happen again. */
static void on_crash(int signal)
{
    terminal_give_back();
    raise(signal);
}

static void prepare(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static bool prepared;
    if (prepared)
        return;
    prepared = true;
    atexit(terminal_give_back);
    struct sigaction action = {.sa_handler = on_crash,
                               .sa_flags = SA_RESETHAND};
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &action, NULL);
}

bool terminal_take(void)
{
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp())
        return false;
    if (taken)
        return true;
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return false;
    prepare();
    struct termios keys = saved;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    taken = 1;
    return tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

struct terminal_size terminal_size(void)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return (struct terminal_size){.rows = size.ws_row ? size.ws_row : 24,
                                  .columns = size.ws_col ? size.ws_col : 80};
}

/* Behind "ESC [ … letter" or "ESC ] … ESC \". */
static const char *behind_escape(const char *escape)
{
    const char *end;
    if (escape[1] == '[') {
        end = escape + 2;
        end += strspn(end, "0123456789;");
        return *end ? end + 1 : end;
    }
    end = escape[1] == ']' ? strstr(escape + 1, "\033\\") : NULL;
    return end ? end + 2 : escape + 1;
}

int terminal_width(const char *line)
{
    int width = 0;
    while (*line) {
        if (*line == '\033') {
            line = behind_escape(line);
            continue;
        }
        if (*line == '\t')
            width |= 7; /* to the next stop */
        width += ((unsigned char)*line & 0xc0) != 0x80;
        line++;
    }
    return width;
}
