/*
 * mini_ps.h - the processes of a machine, read from its /proc.
 *
 *     pid_t *pids;
 *     size_t count;
 *     if (mini_ps_pids("/proc", &pids, &count) == -1)
 *         err(1, "/proc");
 *     for (size_t i = 0; i < count; i++) {
 *         struct mini_ps_process process;
 *         if (mini_ps_read(&process, "/proc", pids[i]) == -1)
 *             continue; // ESRCH: it ended in the meantime
 *         printf("%d %s\n", process.pid, process.command);
 *         mini_ps_release(&process);
 *     }
 *     free(pids);
 *
 * The proc root is a parameter: "/proc", or any directory that looks like it.
 * In it every process is a directory whose name is the pid, with these files
 * (proc(5)):
 *
 *     stat     pid, name, state, parent and some 48 more numbers
 *     statm    memory in pages: size, resident, and more
 *     status   much of the above again, a line for each
 *     cmdline  the arguments, each followed by a NUL byte
 *     comm     the name and a newline
 *
 * The first three functions do no I/O. None of the functions keeps a pointer
 * that it was given.
 */
#ifndef MINI_PS_H
#define MINI_PS_H

#include <stddef.h>
#include <sys/types.h>

enum {
    MINI_PS_NAME_SIZE = 64,   /* the longest name of a kernel thread + NUL */
    MINI_PS_MEMORY_SIZE = 16, /* room for any number of kB, with its NUL */
};

struct mini_ps_process {
    pid_t pid;
    pid_t ppid; /* 0: no parent in sight */
    char state; /* R running, S sleeping, Z zombie, … */
    /* The bytes between the parentheses of stat, unchanged, and a NUL. */
    char name[MINI_PS_NAME_SIZE];
    /* Resident memory (VmRSS). -1: the process has no memory of its own;
     * so it is with kernel threads and zombies. */
    long long rss_kb;
    char *command; /* what mini_ps_command() made of cmdline and name */
};

/*
 * Reads pid, name, state and ppid from the bytes of a stat file:
 *
 *     1234 (name) S 1 …
 *
 * The name may hold blanks, newlines and parentheses itself; it begins behind
 * the first '(' and ends before the last ')'. bytes need not end in a NUL.
 * Sets these four members and no others.
 *
 * Returns 0, or -1 with errno
 *     EBADMSG  these bytes are no stat: a parenthesis is missing, pid is no
 *              decimal number from 1 to INT_MAX, ppid none from 0 to INT_MAX,
 *              state is no single ASCII letter, or the name is longer than
 *              MINI_PS_NAME_SIZE - 1 bytes. What process holds then means
 *              nothing.
 * What follows the digits of ppid is not looked at. A plus sign, leading zeros
 * and blanks too many or too few may be taken or refused.
 */
int mini_ps_parse_stat(struct mini_ps_process *process, const char *bytes,
                       size_t len);

/*
 * Writes kb kilobytes (of 1024 bytes) as people read them:
 *
 *     below 0         "?"
 *     0 to 1023       "0K", "1023K"
 *     from 1024 on    in M, G or T, in the largest unit that leaves at least
 *                     1, with one decimal, rounded as printf("%.1f") does:
 *                     4608 is "4.5M"
 *
 * No "1024.0M": what rounds up to 1024.0 of a unit is "1.0" of the next one.
 * T is the last unit: it goes on with "1024.0T".
 */
void mini_ps_format_memory(char text[MINI_PS_MEMORY_SIZE], long long kb);

/*
 * The command as one line of text, from the bytes of a cmdline file.
 *
 * NUL bytes at the end are dropped, every other NUL is a blank: the arguments
 * "cat", "", "x" are "cat  x". If nothing is left, it is name in brackets:
 * "[kthreadd]". Every control byte, in arguments or name (0x01 to 0x1f, 0x7f:
 * newline, tab, escape, …), is a '?', so that nobody's command line can forge
 * a row. All other bytes stay as they are.
 *
 * Returns a string for the caller to free, or NULL with errno ENOMEM.
 */
char *mini_ps_command(const char *cmdline, size_t len, const char *name);

/*
 * Lists the pids in the directory root, in ascending order. An entry is a pid
 * by its name alone: a decimal number from 1 to INT_MAX, written without
 * sign or leading zero. Other entries are passed over.
 *
 * Returns 0 and an array of *count pids for the caller to free (it may be
 * NULL when *count is 0); or -1, with nothing to free and errno
 *     ENOMEM  out of memory
 *     or as opendir(3) and readdir(3) set it: ENOENT, ENOTDIR, EMFILE, EIO, …
 */
int mini_ps_pids(const char *root, pid_t **pids, size_t *count);

/*
 * Reads the process pid in root: stat for the members that
 * mini_ps_parse_stat() sets, status (VmRSS) or statm (resident) for rss_kb,
 * cmdline for command. Files may be of any length. No descriptor stays open.
 *
 * Returns 0; the caller gives the process to mini_ps_release(). Or -1, with
 * nothing to release and errno
 *     ESRCH    there is no such process (any more): its directory or a file
 *              that is read is not there, or reading it says ESRCH
 *     EBADMSG  stat is malformed, or there is no number where statm or VmRSS
 *              must have one
 *     ENOMEM   out of memory
 *     or as open(2) and read(2) set it: EACCES, EMFILE, ENAMETOOLONG, …
 */
int mini_ps_read(struct mini_ps_process *process, const char *root, pid_t pid);

/* Frees what process owns: its command. */
void mini_ps_release(struct mini_ps_process *process);

#endif
