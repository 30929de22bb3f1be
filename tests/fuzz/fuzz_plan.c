/* Any bytes as a plan line, "conv ... | schedule | machine". Whatever part is wrong is refused with a
 * sentence; a line that is accepted prints and parses back as itself, and computes what the oracle does.
 * A conv without a schedule is planned. Of the machine only the length counts: which of this machine's
 * levels is used. */
#include "fuzz.h"

#include "conv.h"

#include <stdlib.h>
#include <string.h>

enum { SCHEDULE, MACHINE, PARTS, BUDGET = 400 };

static void check_round_trip(const struct plan *p)
{
    char text[KILN_TEXT_MAX], again[KILN_TEXT_MAX];
    struct plan q = {.conv = p->conv, .cpu = p->cpu};
    struct kiln_error error = {.text = ""};
    must(plan_print_schedule(p, text, sizeof text) < sizeof text, "%s: too long", text);
    must(!plan_parse(&q, text, &error), "%s: does not parse back: %s", text, error.text);
    plan_print_schedule(&q, again, sizeof again);
    must(!strcmp(text, again), "%s: parses back as %s", text, again);
}

static void check_planned(struct plan *p)
{
    struct choice choice;
    struct kiln_error error = {.text = ""};
    if (planner_choose(p, &(struct limits){.fmas = BUDGET}, &choice, &error)) {
        must(error.text[0], "refused without a sentence");
        return;
    }
    const struct plan *best = &choice.contenders[choice.winner].best;
    check_round_trip(best);
    if (fuzz_cheap(&p->conv)) fuzz_compute(best);
}

static void check_schedule(struct plan *p, const char *schedule)
{
    struct kiln_error error = {.text = ""};
    if (plan_parse(p, schedule, &error)) {
        must(error.text[0], "refused without a sentence");
        return;
    }
    check_round_trip(p);
    if (fuzz_cheap(&p->conv)) fuzz_compute(p);
}

static void check_line(const char *text)
{
    struct plan p = {0};
    struct kiln_error error = {.text = ""};
    struct words part;
    if (conv_parse(&p.conv, text, &error)) {
        must(error.text[0], "refused without a sentence");
        return;
    }
    p.cpu = fuzz_cpu(words_part(text, MACHINE + 1, &part) ? (unsigned)(part.end - part.at) % PARTS : 0);
    const char *schedule = strchr(text, '|');
    if (schedule)
        check_schedule(&p, schedule + 1);
    else
        check_planned(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = malloc(count + 1); /* of its own, so that a sanitizer sees any byte read behind it */
    if (!text) return 0;
    if (count) memcpy(text, bytes, count);
    text[count] = '\0';
    check_line(text);
    free(text);
    return 0;
}
