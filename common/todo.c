#include "todo.h"
#include <stdio.h>
#include <unistd.h>

void todo_at(const char *what, const char *file, int line)
{
    fflush(stdout);
    dprintf(STDERR_FILENO, "not done yet: %s (%s:%d)\n", what, file, line);
    _exit(TODO_STATUS);
}
