#include "trial.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

static char folder[] = "/tmp/kiln-memory-XXXXXX";

void trial_enter(void) { cr_assert(mkdtemp(folder) && chdir(folder) == 0); }

void trial_leave(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

/* ---- a scene ---- */

static void ignore(void *user, const char *line) { (void)user, (void)line; }

enum kiln_status context_make(struct scene *s, struct kiln **k)
{
    static int made;
    static char cache[64];
    struct kiln_config config = s->trial->config;
    if (s->k == NULL) snprintf(cache, sizeof cache, "%s/%d", folder, made++);
    config.size = sizeof config;
    config.log = ignore;
    if (!config.cache_dir) config.cache_dir = cache;
    if (config.cache_dir[0] != '/') config.cache_dir = NULL;
    return kiln_create(k, &config, &s->error);
}

void scene_open(struct scene *s, const struct trial *trial)
{
    memset(s, 0, sizeof *s);
    s->trial = trial;
    WORKS(kiln_conv_parse(&s->conv, CONV, &s->error));
    if (!trial->bare) WORKS(context_make(s, &s->k));
    if (trial->prepare && !s->wrong[0]) trial->prepare(s);
}

void scene_close(struct scene *s)
{
    kiln_plan_release(s->ready);
    kiln_destroy(s->k);
}

static enum kiln_status scene_call(struct scene *s)
{
    memset(&s->out, FILL, sizeof s->out);
    memset(&s->error, FILL, sizeof s->error);
    s->said = 0;
    return s->trial->call(s);
}

/* ---- a turn ---- */

/* What is said of a failure: where memory is not all that can have been missing, the system is named. */
static void right_status(struct scene *s, enum kiln_status status, const char *failed, bool rest)
{
    static const char *const systems[] = {"mmap", "mprotect", "pthreadpool_create", "fdopendir"};
    struct outputs before;
    bool system = rest && status == KILN_STATUS_SYSTEM;
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        system = system || !strcmp(failed, systems[i]);
    NEED(status == (system && !rest ? KILN_STATUS_SYSTEM
                    : system        ? status
                                    : KILN_STATUS_MEMORY),
         "the status is %s: %.500s", kiln_status_name(status), s->error.text);
    NEED(s->error.status == status && s->error.text[0] && memchr(s->error.text, '\0', KILN_ERROR_TEXT),
         "%s without a sentence", kiln_status_name(status));
    memset(&before, FILL, sizeof before);
    NEED(!memcmp(&s->out, &before, sizeof before) && !s->said, "a failure changed its output: %.500s",
         s->error.text);
}

struct turn {
    const struct trial *trial;
    long nth;
    bool rest;
    const char *failed; /* the first function that did */
    uint64_t said;      /* by the call that works */
    char wrong[1024];
};

/* On a thread of its own: what is wrong is only kept. */
static int turn_run(void *arg)
{
    struct turn *t = arg;
    static struct scene scene;
    struct scene *s = &scene;
    scene_open(s, t->trial);
    failing_begin(t->nth, t->rest);
    enum kiln_status status = s->wrong[0] ? KILN_STATUS_OK : scene_call(s);
    t->failed = failing_end();
    if (!s->wrong[0] && status) {
        NEED(t->failed, "nothing was made to fail: %.500s", s->error.text);
        if (t->failed) right_status(s, status, t->failed, t->rest);
    } else if (!s->wrong[0]) {
        NEED(!t->said || s->said == t->said, "a call that worked told something else");
        t->trial->check(s);
    }
    if (t->failed && !s->wrong[0]) {
        NEED((status = scene_call(s)) == KILN_STATUS_OK, "called again: %.500s", s->error.text);
        NEED(!t->said || s->said == t->said, "called again it told something else");
        if (!status) t->trial->check(s);
    }
    t->said = s->said;
    scene_close(s);
    memcpy(t->wrong, s->wrong, sizeof t->wrong);
    return 0;
}

static void turn_take(struct turn *t)
{
    thrd_t thread;
    long held = failing_held();
    cr_assert_eq(thrd_create(&thread, turn_run, t), thrd_success);
    cr_assert_eq(thrd_join(thread, NULL), thrd_success);
    cr_assert(!t->wrong[0], "%s no. %ld%s failed: %s", t->failed ? t->failed : "nothing", t->nth,
              t->rest ? " and all behind it" : "", t->wrong);
    cr_assert_eq(failing_held(), held, "%s no. %ld%s failed: %ld were not given back",
                 t->failed ? t->failed : "nothing", t->nth, t->rest ? " and all behind it" : "",
                 failing_held() - held);
}

/* The call as it is, then with every call within it failing. */
void trial_run(const struct trial *trial)
{
    enum { CALLS_MOST = 1000 }; /* more than any makes */
    struct turn good = {.trial = trial, .nth = CALLS_MOST};
    turn_take(&good);
    for (int rest = 0; rest < 2; rest++) {
        struct turn t = {.trial = trial, .rest = rest, .failed = ""};
        long nth = 0;
        for (; t.failed; nth++) {
            t.nth = nth, t.said = good.said;
            turn_take(&t);
            cr_assert_lt(nth, CALLS_MOST);
        }
        cr_assert_geq(nth - 1, trial->least, "only %ld calls could fail", nth - 1);
    }
}

void trial_unfailing(const struct trial *trial)
{
    struct turn t = {.trial = trial};
    turn_take(&t);
    cr_assert(!t.failed, "%s was called", t.failed);
}
