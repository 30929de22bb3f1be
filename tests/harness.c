#include "harness.h"

#include "conv.h"
#include "status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct generator *kiln_generator(void); /* linked in */

/* ---- files ---- */

static char *file_read(const char *path)
{
    char full[4096];
    snprintf(full, sizeof full, "%s/%s", SOURCE_DIR, path);
    FILE *f = fopen(full, "r");
    char *bytes = NULL;
    size_t room = 0;
    if (!f || getdelim(&bytes, &room, '\0', f) < 0) {
        perror(full);
        abort();
    }
    fclose(f);
    return bytes;
}

/* Cuts the comment and the blanks around; returns what is left. */
static char *trim(char *text)
{
    text[strcspn(text, "#")] = '\0';
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) text[--length] = '\0';
    return text;
}

struct lines lines_read(const char *path)
{
    struct lines lines = {.bytes = file_read(path)};
    int number = 0;
    for (char *next = lines.bytes, *text; (text = strsep(&next, "\n"));) {
        number++;
        text = trim(text);
        if (!*text) continue;
        lines.line = realloc(lines.line, (lines.count + 1) * sizeof *lines.line);
        if (!lines.line) abort();
        lines.line[lines.count++] = (struct line){number, text};
    }
    return lines;
}

void lines_free(struct lines *lines)
{
    free(lines->line);
    free(lines->bytes);
}

/* ---- machines ---- */

bool machine_capped(struct cpu *cpu, const char *isa)
{
    cpu_host(cpu);
    return cpu_cap(cpu, isa, "isa", NULL) == KILN_STATUS_OK;
}

/* ---- plans ---- */

void bytes_sink(void *user, const char *bytes, size_t count)
{
    struct bytes *b = user;
    b->at = realloc(b->at, b->count + count + 1);
    if (!b->at) abort();
    memcpy(b->at + b->count, bytes, count);
    b->count += count;
    b->at[b->count] = '\0';
}

void bytes_free(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

void request_of(struct request_text *r, const struct plan *p)
{
    conv_print(&p->conv, r->conv, sizeof r->conv);
    cpu_print(&p->cpu, r->machine, sizeof r->machine);
    plan_print_schedule(p, r->schedule, sizeof r->schedule);
    r->request = (struct request){.conv = r->conv, .machine = r->machine, .schedule = r->schedule};
}

enum kiln_status plan_image(const struct plan *p, struct image **image, struct kiln_error *error)
{
    struct request_text r;
    struct bytes b = {0};
    request_of(&r, p);
    enum kiln_status status = kiln_generator()->compile(&r.request, bytes_sink, &b, error);
    if (!status) status = image_check((const struct image *)b.at, b.count, error);
    if (!status)
        *image = (struct image *)b.at;
    else
        bytes_free(&b);
    return status;
}

enum kiln_status plan_compile(const struct plan *p, struct kernel **made, struct kiln_error *error)
{
    struct image *image;
    enum kiln_status status = plan_image(p, &image, error);
    if (status) return status;
    status = kernel_load(image, made, error);
    free(image);
    return status;
}

bool plan_try(const struct plan *p, const struct tensors *t, struct text *why)
{
    struct kernel *kernel;
    struct kiln_error error;
    if (plan_compile(p, &kernel, &error)) {
        text_put(why, "does not compile: %s", error.text);
        return false;
    }
    bool fine = kernel_try(kernel, t, why);
    kernel_release(kernel);
    return fine;
}

/* ---- schedules nobody would propose ---- */

enum { SHAKES = 400, KNOB_MOST = 9, SHAKEN_FMAS = 500 };

static bool knob_used(const struct algo *a, const char *key)
{
    struct words words = words_of(a->knobs);
    struct word w;
    while (words_next(&words, &w))
        if (word_is(w, key)) return true;
    return false;
}

static void knob_shake(struct plan *p, const struct knob *knob, struct random *r)
{
    int64_t *v = (int64_t *)((char *)p + knob->offset);
    int64_t most = knob->hi < KNOB_MOST ? knob->hi : KNOB_MOST, group = p->conv.ic / p->conv.g;
    *v = random_in(r, knob->lo, most);
    if (v == &p->vec) *v = (int64_t)p->cpu.lanes >> random_in(r, 0, 2);
    if (v == &p->ic) *v = group / random_in(r, 1, group);
}

bool plan_shake(struct plan *p, struct random *r)
{
    for (int i = 0; i < SHAKES; i++) {
        struct plan q = *p;
        for (int j = 0; j < plan_knob_count; j++)
            if (knob_used(q.algo, plan_knobs[j].key) && random_in(r, 0, 1)) knob_shake(&q, &plan_knobs[j], r);
        struct cost cost;
        if (plan_check(&q, &cost, NULL) || cost.fmas > SHAKEN_FMAS) continue;
        *p = q;
        return true;
    }
    return false;
}
