/* What the tests of the public functions share: a context over the module without LLVM. */
#ifndef KILN_TESTS_API_H
#define KILN_TESTS_API_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "kiln.h"

/* Enough work for a pool to be used, with every tensor. */
#define BIG "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +scale +prelu +add +relu"
#define SMALL "conv n1 ic2 iw4 oc2 kw1 f32 nhwc"

static struct kiln_error error;

/* Asserts a status and that the error's text holds `why`. */
#define REFUSES(call, expected, why)                                                           \
    do {                                                                                       \
        memset(&error, 0, sizeof error);                                                       \
        enum kiln_status got = (call);                                                         \
        cr_assert_eq(got, (expected), "%s: %s: %s", #call, kiln_status_name(got), error.text); \
        cr_assert_eq(error.status, got);                                                       \
        cr_assert(strstr(error.text, (why)), "%s: %s", #call, error.text);                     \
    } while (0)

#define WORKS(call) cr_assert_eq((call), KILN_STATUS_OK, "%s: %s", #call, error.text)

static inline struct kiln_conv conv_of(const char *text)
{
    struct kiln_conv c;
    WORKS(kiln_conv_parse(&c, text, &error));
    return c;
}

static inline struct kiln *context_with(struct kiln_config config)
{
    struct kiln *k = NULL;
    config.size = sizeof config;
    if (!config.generator) config.generator = FAKE_GENERATOR;
    WORKS(kiln_create(&k, &config, &error));
    return k;
}

/* A plan of the conv by a schedule of the fake module; NULL: any. */
static inline struct kiln_plan *plan_of(struct kiln *k, const char *text, const char *schedule)
{
    struct kiln_conv c = conv_of(text);
    struct kiln_plan *plan = NULL;
    struct kiln_options o = {.size = sizeof o, .schedule = schedule};
    WORKS(kiln_compile(k, &c, &o, &plan, &error));
    return plan;
}

/* A sink that appends to a string of room for it. */
struct said {
    char text[8192];
    size_t length;
};

static inline void say(void *user, const char *bytes, size_t count)
{
    struct said *s = user;
    cr_assert_lt(s->length + count, sizeof s->text);
    memcpy(s->text + s->length, bytes, count);
    s->text[s->length += count] = '\0';
}

#endif
