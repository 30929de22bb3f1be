/* A code-generation module without LLVM: it does what the schedule says, so that the way around the
 * generator can be tested, failures included. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "small_image.h"
#include "status.h"

/* Schedules that fail, and how. */
static const struct {
    const char *schedule;
    enum kiln_status status;
} failures[] = {
    {"invalid", KILN_STATUS_INVALID},
    {"unsupported", KILN_STATUS_UNSUPPORTED},
    {"memory", KILN_STATUS_MEMORY},
    {"internal", KILN_STATUS_INTERNAL},
};

static bool asks(const struct request *r, const char *schedule)
{
    return r->schedule && !strcmp(r->schedule, schedule);
}

static enum kiln_status fake_fail(const struct request *r, struct kiln_error *error)
{
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (asks(r, failures[i].schedule)) return fail(error, failures[i].status, "made to fail");
    return KILN_STATUS_OK;
}

/* "conv | schedule | isa" */
static void line_print(const struct request *r, char line[2 * KILN_TEXT_MAX])
{
    char isa[32] = "";
    sscanf(r->machine, "%*s %31s", isa);
    snprintf(line, 2 * KILN_TEXT_MAX, "%s | %s | %s", r->conv, r->schedule ? r->schedule : "fake", isa);
}

static enum kiln_status fake_text(const struct request *r, kiln_sink *sink, void *user,
                                  struct kiln_error *error)
{
    char text[2 * KILN_TEXT_MAX];
    line_print(r, text);
    enum kiln_status status = fake_fail(r, error);
    if (!status) sink(user, text, strlen(text));
    return status;
}

static enum kiln_status fake_compile(const struct request *r, kiln_sink *sink, void *user,
                                     struct kiln_error *error)
{
    char text[2 * KILN_TEXT_MAX];
    enum kiln_status status = fake_fail(r, error);
    if (status) return status;
    line_print(r, text);
    struct image *i = small_image(text, 0);
    if (!i) return fail(error, KILN_STATUS_MEMORY, "no memory");
    i->elf_machine = strncmp(r->machine, "aarch64", 7) ? EM_X86_64 : EM_AARCH64;
    if (asks(r, "scratch")) i->scratch_bytes = 10000;
    if (asks(r, "huge")) i->scratch_bytes = PTRDIFF_MAX;
    image_seal(i);
    if (asks(r, "damaged")) i->tasks++;
    sink(user, (const char *)i, asks(r, "cut") ? i->bytes / 2 : i->bytes);
    free(i);
    return KILN_STATUS_OK;
}

/* An object is its plan line. */
static enum kiln_status fake_dump(const struct request *r, enum kiln_dump what, kiln_sink *sink, void *user,
                                  struct kiln_error *error)
{
    char text[2 * KILN_TEXT_MAX];
    enum kiln_status status = fake_fail(r, error);
    if (what == KILN_DUMP_OBJECT)
        line_print(r, text);
    else
        snprintf(text, sizeof text, "dump %d\nline 2", (int)what);
    if (!status) sink(user, text, strlen(text));
    return status;
}

static const struct generator table = {
#ifdef FAKE_OLD
    .version = GENERATOR_VERSION + 1,
#else
    .version = GENERATOR_VERSION,
#endif
    .llvm = "0.fake",
    .plan = fake_text,
    .candidates = fake_text,
    .explain = fake_text,
    .compile = fake_compile,
    .dump = fake_dump,
};

__attribute__((visibility("default"))) generator_entry kiln_generator;
const struct generator *kiln_generator(void) { return &table; }
