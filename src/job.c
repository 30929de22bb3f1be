/* job: reads what is asked, checks it, takes wisdom's advice, and writes it as the stages want it. */
#include "job.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conv.h"
#include "image.h"
#include "status.h"
#include "text.h"

enum { CANDIDATES_MOST = 4096 }; /* more than there ever are */

static_assert(offsetof(struct question, schedule) ==
                  sizeof(struct kiln_conv) + sizeof(uint64_t) + 3 * sizeof(int),
              "there is no padding in a key");

enum kiln_status options_read(struct kiln_options *to, const struct kiln_options *from,
                              struct kiln_error *error)
{
    *to = (struct kiln_options){.size = sizeof *to};
    enum kiln_status status =
        from ? struct_read(to, sizeof *to, from, "kiln_options", error) : KILN_STATUS_OK;
    if (status) return status;
    if ((unsigned)to->effort > KILN_EFFORT_WISDOM_ONLY)
        return fail(error, KILN_STATUS_INVALID,
                    "effort is %d: must be KILN_EFFORT_ESTIMATE or KILN_EFFORT_WISDOM_ONLY; others are "
                    "kiln_tune's",
                    (int)to->effort);
    if (to->code_budget < 0 || to->code_budget > CODE_BUDGET_MOST)
        return fail(error, KILN_STATUS_INVALID, "code_budget is %d: must be 0 to %d", to->code_budget,
                    CODE_BUDGET_MOST);
    if (to->candidates < 0 || to->candidates > CANDIDATES_MOST)
        return fail(error, KILN_STATUS_INVALID, "candidates is %d: must be 0 to %d", to->candidates,
                    CANDIDATES_MOST);
    if (!to->code_budget) to->code_budget = CODE_BUDGET;
    return KILN_STATUS_OK;
}

enum kiln_status machine_choose(struct cpu *cpu, const struct kiln *k, const struct kiln_options *options,
                                struct kiln_error *error)
{
    if (options->target) return cpu_target(cpu, options->target, options->isa, error);
    *cpu = k->cpu;
    return cpu_cap(cpu, options->isa, "isa", error);
}

const char *job_conv(struct job *job)
{
    conv_print(&job->asked.conv, job->conv, sizeof job->conv);
    return job->conv;
}

/* That a whole plan line was made for this conv; the machine is lowered to the level it names. */
static enum kiln_status line_read(struct job *job, const char *line, struct kiln_error *error)
{
    char level[32];
    struct kiln_conv conv;
    struct words schedule;
    struct word isa;
    enum kiln_status status = conv_parse(&conv, line, error);
    if (status) return status;
    if (!conv_equal(&conv, &job->asked.conv))
        return fail(error, KILN_STATUS_INVALID,
                    "schedule is a plan line of another conv: this one is \"%.300s\"", job_conv(job));
    if (!words_line(line, &schedule, &isa))
        return fail(error, KILN_STATUS_INVALID,
                    "schedule is a plan line without the form \"conv | schedule | isa\"");
    if ((size_t)snprintf(level, sizeof level, "%.*s", (int)isa.length, isa.at) >= sizeof level)
        return fail(error, KILN_STATUS_INVALID, "schedule is a plan line for \"%.*s\": not a machine",
                    WORD(isa));
    return cpu_cap(&job->cpu, level, "the plan line's isa", error);
}

/* Copies the schedule, which is opaque here, out of options->schedule; "" if there is none. */
static enum kiln_status schedule_read(struct job *job, struct kiln_error *error)
{
    const char *text = job->options.schedule;
    struct words part = {0};
    if (!text) return KILN_STATUS_OK;
    bool line = strchr(text, '|') != NULL;
    enum kiln_status status = line ? line_read(job, text, error) : KILN_STATUS_OK;
    if (status) return status;
    if (!words_part(text, line ? 1 : 0, &part) || part.at == part.end)
        return fail(
            error, KILN_STATUS_INVALID,
            "schedule is empty: must be as in a plan line, such as \"direct ow=4 unroll=kw\", or left out");
    size_t length = (size_t)(part.end - part.at);
    if (length >= sizeof job->asked.schedule)
        return fail(error, KILN_STATUS_INVALID, "schedule has %zu bytes: at most %zu are allowed", length,
                    sizeof job->asked.schedule - 1);
    memcpy(job->asked.schedule, part.at, length);
    job->asked.schedule[length] = '\0';
    return KILN_STATUS_OK;
}

static enum kiln_status wisdom_fail(struct job *job, const char *why, struct kiln_error *error)
{
    return fail(error, KILN_STATUS_UNSUPPORTED,
                "wisdom-only was asked for \"%.200s\" on %s: %.128s; `kiln tune` makes wisdom", job_conv(job),
                isa_name(isa_code(job->cpu.isa)), why);
}

static void wisdom_log(struct job *job, const char *what)
{
    char line[KILN_TEXT_MAX + KILN_ERROR_TEXT];
    if (!context_logs(job->k, DEBUG_WISDOM)) return;
    snprintf(line, sizeof line, "%s on %s: %s", job_conv(job), isa_name(isa_code(job->cpu.isa)), what);
    context_log(job->k, DEBUG_WISDOM, line);
}

/* Takes the schedule from wisdom, as if it had been given, where none was. */
static enum kiln_status wisdom_take(struct job *job, struct kiln_error *error)
{
    const struct kiln_options *o = &job->options;
    const struct wisdom_key key = {&job->asked.conv, isa_code(job->cpu.isa), job->k->threads};
    const char *other = NULL;
    bool only = o->effort == KILN_EFFORT_WISDOM_ONLY, small = o->code_budget < CODE_BUDGET;
    char why[64] = "there is none";
    job->wise = !o->schedule && !small && wisdom_find(job->k->wisdom, &key, &job->advice, &other);
    if (job->wise) strcpy(job->asked.schedule, job->advice.schedule);
    if (o->schedule || job->wise || !(only || other)) return KILN_STATUS_OK;
    if (other) snprintf(why, sizeof why, "there is some for %s only", other);
    if (small) snprintf(why, sizeof why, "none is used with a code_budget below %d", CODE_BUDGET);
    if (only) return wisdom_fail(job, why, error);
    wisdom_log(job, why);
    return KILN_STATUS_OK;
}

/* The machine as text, which the context has ready for its own. */
static const char *machine_print(struct job *job)
{
    if (!memcmp(&job->cpu, &job->k->cpu, sizeof job->cpu)) return job->k->machine;
    cpu_print(&job->cpu, job->machine, sizeof job->machine);
    return job->machine;
}

struct request job_request(struct job *job)
{
    return (struct request){
        .conv = job_conv(job),
        .machine = machine_print(job),
        .schedule = job->asked.schedule[0] ? job->asked.schedule : NULL,
        .scratch_limit = job->options.scratch_limit,
        .code_budget = job->options.code_budget,
        .candidates = job->options.candidates,
    };
}

void job_print(struct job *job, char key[JOB_KEY_ROOM])
{
    const struct question *q = &job->asked;
    struct text t = text_into(key, JOB_KEY_ROOM);
    text_put(&t, "%s | %s | %s | scratch=%" PRId64 " budget=%d generator=%d image=%d module=%s",
             job_conv(job), q->schedule, machine_print(job), (int64_t)q->scratch_limit, q->code_budget,
             GENERATOR_VERSION, IMAGE_VERSION, job->k->module);
    assert(t.length < JOB_KEY_ROOM);
}

size_t job_bytes(const struct job *job)
{
    return offsetof(struct question, schedule) + strlen(job->asked.schedule) + 1;
}

void wisdom_drop(struct job *job)
{
    job->wise = false;
    job->asked.schedule[0] = '\0';
}

enum kiln_status job_read(struct job *job, struct kiln *k, const struct kiln_conv *conv,
                          const struct kiln_options *options, struct kiln_error *error)
{
    if (!k) return fail(error, KILN_STATUS_INVALID, "k is NULL: must be a context");
    if (!conv) return fail(error, KILN_STATUS_INVALID, "conv is NULL");
    enum kiln_status status = conv_check(conv, error);
    if (!status) status = options_read(&job->options, options, error);
    if (!status) status = machine_choose(&job->cpu, k, &job->options, error);
    if (status) return status;
    job->k = k;
    conv_canonical(&job->asked.conv, conv);
    job->asked.scratch_limit = job->options.scratch_limit;
    job->asked.code_budget = job->options.code_budget;
    job->asked.machine = job->options.target ? FOR_TARGET : FOR_THIS;
    job->asked.schedule[0] = '\0';
    status = schedule_read(job, error);
    job->asked.isa = job->cpu.isa;
    return status ? status : wisdom_take(job, error);
}

enum kiln_status job_do(struct job *job, job_work *work, void *arg, struct kiln_error *error)
{
    struct kiln_error why;
    char line[KILN_ERROR_TEXT + 32];
    if (!job->wise) return work(job, arg, error);
    enum kiln_status status = work(job, arg, &why);
    if (!status) return wisdom_log(job, job->asked.schedule), status;
    if (status != KILN_STATUS_INVALID) return fail(error, status, "%s", why.text);
    if (job->options.effort == KILN_EFFORT_WISDOM_ONLY) return wisdom_fail(job, why.text, error);
    snprintf(line, sizeof line, "passed over: %s", why.text);
    wisdom_log(job, line);
    wisdom_drop(job);
    return work(job, arg, error);
}
