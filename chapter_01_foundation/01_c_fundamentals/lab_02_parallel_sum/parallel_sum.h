/*
 * parallel_sum.h - adds 1 + 2 + … + n in three ways.
 *
 *     uint64_t sum;
 *     if (sum_with_channel(1000, 4, &sum) == -1)
 *         err(1, "sum_with_channel");
 *     printf("%" PRIu64 "\n", sum);
 *
 * The third way needs a channel, which is yours to write, too: a queue of
 * limited size that one thread sends into and another receives from.
 *
 *     struct channel *channel = channel_new(8);
 *     channel_send(channel, 42);
 *     channel_close(channel);
 *     uint64_t value;
 *     while (channel_receive(channel, &value))
 *         printf("%" PRIu64 "\n", value);
 *     channel_free(channel);
 *
 * The channel belongs to the one who made it; the threads that use it only
 * borrow it. Values are copied. Functions that fail return -1 or NULL, set
 * errno and write nothing into *sum.
 */
#ifndef PARALLEL_SUM_H
#define PARALLEL_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The channel. What is in it is up to you (src/channel.c). */
struct channel;

/*
 * Makes an empty, open channel with room for `capacity` values. All the memory
 * that it will ever need is taken here, so sending never fails for want of
 * memory. The caller frees it with channel_free().
 *
 * Returns NULL on error:
 *   EINVAL  capacity is 0
 *   ENOMEM  no memory; also when the size in bytes would not fit into a size_t
 */
struct channel *channel_new(size_t capacity);

/* Frees the channel, open or closed, with the values still in it; does nothing
 * with NULL. No thread may be inside a call on this channel, or start one
 * afterwards, so join first: a sender whose value has been received may still
 * be on its way out of channel_send(). */
void channel_free(struct channel *channel);

/*
 * Puts a value behind those already in the channel. While the channel is full
 * the caller sleeps (it does not spin) until there is room or the channel is
 * closed. Any number of threads may send at once.
 *
 * Returns 0, or -1 on error:
 *   EPIPE  the channel is closed, or was closed while the caller waited; the
 *          value is not in the channel
 */
int channel_send(struct channel *channel, uint64_t value);

/*
 * Takes the oldest value out and stores it in *value. While the channel is
 * empty and open the caller sleeps until a value comes or the channel is
 * closed. Any number of threads may receive at once; each value goes to one
 * of them.
 *
 * Returns true with a value. Returns false when the channel is closed and
 * every value sent before has been received: nothing will come any more, and
 * what is in *value means nothing.
 */
bool channel_receive(struct channel *channel, uint64_t *value);

/* Closes the channel: every thread that waits in it wakes up, sending fails
 * from now on, receiving goes on until the channel is empty. Closing a closed
 * channel does nothing. Waits for nobody but the mutex. */
void channel_close(struct channel *channel);

/* The largest n for which 1 + 2 + … + n fits into a uint64_t. */
#define SUM_N_MAX UINT64_C(6074000999)

/*
 * The work itself, and given: adds first, first + 1, …, last. Returns 0 when
 * last < first. `last` is at most SUM_N_MAX.
 *
 * The formula n * (n + 1) / 2 would be faster, but then there would be nothing
 * to share. clang finds the formula by itself; the empty asm statement hides
 * from the compiler what happens to `sum`, so that it really adds.
 */
static inline uint64_t sum_range(uint64_t first, uint64_t last)
{
    uint64_t sum = 0;
    for (uint64_t number = first; number <= last; number++) {
        sum += number;
        __asm__ volatile("" : "+r"(sum));
    }
    return sum;
}

/*
 * Stores 1 + 2 + … + n in *sum; 0 when n is 0. The caller adds alone.
 *
 * Returns 0, or -1 on error:
 *   EOVERFLOW  n > SUM_N_MAX; found out before anything is added
 */
int sum_sequential(uint64_t n, uint64_t *sum);

/*
 * The same, shared by num_threads threads. They are started with
 * pthread_create(3) and work beside the caller, all at the same time. Each adds
 * its share of the numbers with sum_range(), then takes the mutex that guards
 * the one total, and adds the result to it. When n < num_threads, only n are
 * needed: the others have nothing to add, or are not started at all. No thread
 * is left when the call returns, whatever it returns.
 *
 * Returns 0, or -1 on error:
 *   EINVAL     num_threads is 0
 *   EOVERFLOW  n > SUM_N_MAX; found out before anything is added
 *   ENOMEM     no memory
 *   EAGAIN     a thread could not be created; and every other error of
 *              pthread_create(3). Nothing is tried a second time: the threads
 *              already started are waited for, and the call fails.
 */
int sum_with_mutex(uint64_t n, unsigned num_threads, uint64_t *sum);

/* The same contract. But the threads share no total: each sends the result of
 * its share through a channel, and the caller receives and adds them. */
int sum_with_channel(uint64_t n, unsigned num_threads, uint64_t *sum);

#endif
