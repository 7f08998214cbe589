/* Work divided among threads that live for one call, so that nothing is left behind for a fork to break. */
#ifndef DAGFM_THREADS_H
#define DAGFM_THREADS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_THREADS 256

/* Do `work` on each of so many shares of `size` bytes: the first in the caller's thread, the others in their own. */
static inline void in_threads(void *(*work)(void *), void *shares, size_t size, int64_t threads) {
    char *const at = shares;
    pthread_t others[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    for (int64_t t = 1; t < threads; t++) started[t] = pthread_create(&others[t], NULL, work, at + t * size) == 0;
    work(at);
    for (int64_t t = 1; t < threads; t++) {
        if (started[t])
            pthread_join(others[t], NULL);
        else
            work(at + t * size); /* the system has no thread left: the same rows, later */
    }
}

#endif
