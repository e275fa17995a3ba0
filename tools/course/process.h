/*
 * process.h - run other programs.
 *
 *     const char *const command[] = {"make", "test", NULL};
 *     int status = process_run(lab->path, command);
 *
 * The program gets no standard input and none of the variables by which make
 * speaks to the make below it. Its exit status is told as the shell does:
 * 128 + signal when it was killed, 127 when it could not be started.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/types.h>

/* Runs it in this folder, with our standard output and error. */
int process_run(const char *folder, const char *const command[]);

/* The same, returning what it wrote to standard output. */
char *process_output(const char *folder, const char *const command[],
                     int *status);

/* Starts it as the leader of a session of its own, which dies with us, writing
 * to output (-1: our own) and, when merged, standard error there too. Returns
 * its pid, or -1 and sets errno. */
pid_t process_start(const char *folder, const char *const command[], int output,
                    int merged);

/* Waits for it and returns its exit status. */
int process_wait(pid_t pid);

#endif
