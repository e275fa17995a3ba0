/*
 * The channel of lab 2; its contract is in parallel_sum.h.
 *
 * The struct is a proposal: a ring of values, a mutex that guards it, and a
 * condition variable for each of the two things that one can wait for. Change
 * it if you like.
 */
#include "parallel_sum.h"

#include "todo.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct channel {
    pthread_mutex_t mutex;    /* guards everything below */
    pthread_cond_t not_empty; /* a value came, or the channel was closed */
    pthread_cond_t not_full;  /* a value went, or the channel was closed */
    bool closed;
    size_t capacity;
    size_t oldest; /* where the oldest value is in values[] */
    size_t count;  /* values in the channel, from `oldest` on, in a ring */
    uint64_t values[];
};

struct channel *channel_new(size_t capacity)
{
    todo("channel_new");
}

void channel_free(struct channel *channel)
{
    todo("channel_free");
}

int channel_send(struct channel *channel, uint64_t value)
{
    todo("channel_send");
}

bool channel_receive(struct channel *channel, uint64_t *value)
{
    todo("channel_receive");
}

void channel_close(struct channel *channel)
{
    todo("channel_close");
}
