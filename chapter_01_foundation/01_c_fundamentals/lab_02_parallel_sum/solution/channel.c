/*
 * channel - a bounded queue between threads.
 *
 * A ring of values, a mutex that guards it, and a condition variable for each
 * of the two things that one can wait for: a value, and room for one.
 */
#include "parallel_sum.h"

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
    if (capacity == 0) {
        errno = EINVAL;
        return NULL;
    }
    struct channel *channel;
    if (capacity > (SIZE_MAX - sizeof *channel) / sizeof channel->values[0]) {
        errno = ENOMEM;
        return NULL;
    }
    channel = malloc(sizeof *channel + capacity * sizeof channel->values[0]);
    if (channel == NULL)
        return NULL;

    /* With default attributes none of the three can fail on Linux. */
    pthread_mutex_init(&channel->mutex, NULL);
    pthread_cond_init(&channel->not_empty, NULL);
    pthread_cond_init(&channel->not_full, NULL);
    channel->closed = false;
    channel->capacity = capacity;
    channel->oldest = 0;
    channel->count = 0;
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    pthread_cond_destroy(&channel->not_full);
    pthread_cond_destroy(&channel->not_empty);
    pthread_mutex_destroy(&channel->mutex);
    free(channel);
}

int channel_send(struct channel *channel, uint64_t value)
{
    pthread_mutex_lock(&channel->mutex);
    /* A loop: between the signal and our return from the wait another sender
     * may have taken the place, and a wait may end without any signal. */
    while (channel->count == channel->capacity && !channel->closed)
        pthread_cond_wait(&channel->not_full, &channel->mutex);

    bool open = !channel->closed;
    if (open) {
        size_t place = (channel->oldest + channel->count) % channel->capacity;
        channel->values[place] = value;
        channel->count++;
        pthread_cond_signal(&channel->not_empty);
    }
    pthread_mutex_unlock(&channel->mutex);

    if (!open) {
        errno = EPIPE;
        return -1;
    }
    return 0;
}

bool channel_receive(struct channel *channel, uint64_t *value)
{
    pthread_mutex_lock(&channel->mutex);
    while (channel->count == 0 && !channel->closed)
        pthread_cond_wait(&channel->not_empty, &channel->mutex);

    /* Closed or not: what is there comes out first. */
    bool received = channel->count > 0;
    if (received) {
        *value = channel->values[channel->oldest];
        channel->oldest = (channel->oldest + 1) % channel->capacity;
        channel->count--;
        pthread_cond_signal(&channel->not_full);
    }
    pthread_mutex_unlock(&channel->mutex);
    return received;
}

void channel_close(struct channel *channel)
{
    pthread_mutex_lock(&channel->mutex);
    channel->closed = true;
    pthread_cond_broadcast(&channel->not_empty);
    pthread_cond_broadcast(&channel->not_full);
    pthread_mutex_unlock(&channel->mutex);
}
