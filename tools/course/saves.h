/*
 * saves.h - tells which of some folders somebody has saved a file in.
 *
 *     struct saves saves;
 *     saves_open(&saves, folders, count);
 *     …poll(2) on saves.fd, at most saves.timeout_ms long; then, each time…
 *     saves_settle(&saves);
 *     for (size_t i = 0; i < count; i++)
 *         if (saves_changed(&saves, i))
 *             …
 *
 * inotify only wakes us; what has changed is seen by looking. So the same code
 * serves shared folders of virtual machines, containers and networks, where
 * inotify is blind and we look three times a second.
 */
#ifndef SAVES_H
#define SAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct saves {
    int fd;         /* inotify; -1 when it is blind here */
    int timeout_ms; /* how long to wait before looking; -1: for the fd */
    const char *const *folders;
    size_t count;
    uint64_t *seen; /* a number for the files of each folder */
};

/* A folder may be moved away and another one take its place. With COURSE_POLL
 * set in the environment inotify is not used. */
void saves_open(struct saves *saves, const char *const folders[], size_t count);
void saves_close(struct saves *saves);

/* Takes in what has come, until for a moment nothing more does: an editor's
 * save is several events. */
void saves_settle(struct saves *saves);
/* Are the folder's files others than at the last call? */
bool saves_changed(struct saves *saves, size_t folder);

#endif
