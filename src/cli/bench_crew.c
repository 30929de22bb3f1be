/* bench_crew: threads that do the same work at the same time. Between two runs that follow each other they
 * spin, so that a run begins without waking anyone; after that they sleep and disturb no one. */
#include "bench.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Looks at the next turn before a thread sleeps: about a tenth of a millisecond. */
enum { LOOKS = 100000 };

struct crew {
    int threads, working; /* working: of the others, atomic */
    unsigned turn;        /* counts runs, atomic; changes under `lock` */
    bool end;             /* set before the last turn */
    void (*work)(void *arg, int i);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t begun;
    struct mate {
        struct crew *crew;
        pthread_t thread;
        int i;
    } mates[]; /* threads - 1 */
};

static void turn_await(struct crew *c, unsigned last)
{
    for (int i = 0; i < LOOKS; i++)
        if (__atomic_load_n(&c->turn, __ATOMIC_ACQUIRE) != last) return;
    pthread_mutex_lock(&c->lock);
    while (__atomic_load_n(&c->turn, __ATOMIC_ACQUIRE) == last) pthread_cond_wait(&c->begun, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void *mate_live(void *arg)
{
    struct mate *mate = arg;
    struct crew *c = mate->crew;
    for (unsigned turn = 0;; turn++) {
        turn_await(c, turn);
        if (c->end) return NULL;
        c->work(c->arg, mate->i);
        __atomic_sub_fetch(&c->working, 1, __ATOMIC_RELEASE);
    }
}

static void turn_begin(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    __atomic_store_n(&c->working, c->threads - 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&c->turn, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->lock);
}

void crew_run(void *crew)
{
    struct crew *c = crew;
    turn_begin(c);
    c->work(c->arg, 0);
    while (__atomic_load_n(&c->working, __ATOMIC_ACQUIRE)) sched_yield();
}

void crew_free(struct crew *c)
{
    if (!c) return;
    c->end = true;
    turn_begin(c);
    for (int i = 0; i < c->threads - 1; i++) pthread_join(c->mates[i].thread, NULL);
    pthread_cond_destroy(&c->begun);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct crew *crew_make(int threads, void (*work)(void *arg, int i), void *arg, struct kiln_error *error)
{
    struct crew *c = calloc(1, sizeof *c + (size_t)threads * sizeof *c->mates);
    if (c) {
        *c = (struct crew){.threads = 1, .work = work, .arg = arg};
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->begun, NULL);
    }
    while (c && c->threads < threads) {
        struct mate *mate = &c->mates[c->threads - 1];
        *mate = (struct mate){.crew = c, .i = c->threads};
        if (pthread_create(&mate->thread, NULL, mate_live, mate)) break;
        c->threads++;
    }
    if (c && c->threads == threads) return c;
    crew_free(c);
    error->status = KILN_STATUS_SYSTEM;
    snprintf(error->text, sizeof error->text, "cannot start %d threads for the FMA loop", threads);
    return NULL;
}
