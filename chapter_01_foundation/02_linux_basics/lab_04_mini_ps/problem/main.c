/*
 * Lab 4: mini_ps
 *
 * Goal: list the processes of a machine as ps(1) does, from the files in /proc.
 *
 * Requirements:
 * 1. The functions of mini_ps.h, as described there: three that do no I/O
 *    (stat, memory, command) and two that read /proc.
 * 2. The program `mini_ps [ROOT]` around them, as described in README.md: a row
 *    for each process, in the order of their pids.
 * 3. Names and arguments may hold any byte: blanks, parentheses, newlines.
 * 4. A process may end while you read it. That is no error.
 * 5. Every failing call is reported; no memory and no descriptor is lost.
 *
 * Hints:
 * - Look at the real files first: `cat /proc/$$/stat; cat /proc/$$/statm`.
 * - The bytes of a file are no string: they end where their length says.
 * - Files in /proc have no size (`stat -c %s /proc/$$/stat`): read(2) until it
 *   returns 0.
 * - Write the functions top-down; `make test TEST=test_01` runs one test.
 *
 * Verification:
 *     make test
 *     make run
 *     make run ARGS="/proc"
 *
 * Acceptance criteria:
 * [ ] all tests pass
 * [ ] no name and no argument can forge a row or a field
 * [ ] a process that ends while you look is no error; all else is told
 * [ ] when a call fails, no memory and no descriptor is leaked
 * [ ] `mini_ps` and `ps` agree, apart from what README.md says
 * [ ] you know how many system calls each process costs
 */
#include "mini_ps.h"
#include "todo.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mini_ps_parse_stat(struct mini_ps_process *process, const char *bytes,
                       size_t len)
{
    todo("mini_ps_parse_stat");
}

void mini_ps_format_memory(char text[MINI_PS_MEMORY_SIZE], long long kb)
{
    todo("mini_ps_format_memory");
}

char *mini_ps_command(const char *cmdline, size_t len, const char *name)
{
    todo("mini_ps_command");
}

int mini_ps_pids(const char *root, pid_t **pids, size_t *count)
{
    todo("mini_ps_pids");
}

int mini_ps_read(struct mini_ps_process *process, const char *root, pid_t pid)
{
    todo("mini_ps_read");
}

void mini_ps_release(struct mini_ps_process *process)
{
    free(process->command);
    process->command = NULL;
}

/*
 * The arguments; the pids; a row for each process:
 *
 *     printf("%7d %7d %c %7s %s\n", pid, ppid, state, memory, command);
 *
 * err(3) and warn(3) write the messages that README.md asks for.
 */
int main(int argc, char **argv)
{
    todo("main");
}
