/* The generator's table of functions: text in, text or bytes out. The one exported symbol. */
#include "door.h"

#include "algo.h"
#include "codegen.h"
#include "conv.h"
#include "explain.h"
#include "flatten.h"
#include "status.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPLAIN_ROOM = 16384 };

/* ---- request -> plan ---- */

static enum kiln_status read_request(const struct request *r, struct plan *p, struct kiln_error *error)
{
    *p = (struct plan){0};
    enum kiln_status status = conv_parse(&p->conv, r->conv, error);
    return status ? status : cpu_parse(&p->cpu, r->machine, error);
}

static struct limits limits_of(const struct request *r)
{
    return (struct limits){.fmas = r->code_budget ? r->code_budget : CODE_BUDGET,
                           .scratch = r->scratch_limit};
}

static enum kiln_status choose_plan(const struct request *r, struct plan *p, struct choice *choice,
                                    struct kiln_error *error)
{
    struct limits limits = limits_of(r);
    enum kiln_status status = planner_choose(p, &limits, choice, error);
    if (!status) *p = choice->contenders[choice->winner].best;
    return status;
}

/* The caller's own schedule: unrolled as it says, but within the caller's limit of scratch. */
static enum kiln_status read_plan(const struct request *r, struct plan *p, struct kiln_error *error)
{
    struct limits limits = limits_of(r);
    enum kiln_status status = plan_parse(p, r->schedule, error);
    if (status || planner_allows_scratch(&limits, p)) return status;
    return fail(error, KILN_STATUS_INVALID, "schedule: it needs %zu bytes of scratch, scratch_limit is %zu",
                plan_scratch(p), r->scratch_limit);
}

static enum kiln_status make_plan(const struct request *r, struct plan *p, struct kiln_error *error)
{
    struct choice choice;
    enum kiln_status status = read_request(r, p, error);
    if (status) return status;
    return r->schedule ? read_plan(r, p, error) : choose_plan(r, p, &choice, error);
}

/* ---- plan -> module -> object -> image ---- */

/* Names the module by its plan and what it holds, which is the first line of its dump, and as its source file
 * the plan, which the object keeps. */
static void name_module(struct emit *e, const struct plan *p)
{
    char text[KILN_TEXT_MAX + 128];
    struct text t = text_into(text, sizeof text);
    char line[KILN_TEXT_MAX];
    plan_print(p, line, sizeof line);
    text_put(&t, "%s ; run: %lld vector fma, %lld loads, %lld stores", line, (long long)e->fmas,
             (long long)e->loads, (long long)e->stores);
    LLVMSetModuleIdentifier(e->module, text, strlen(text));
    LLVMSetSourceFileName(e->module, line, strlen(line));
}

static void name_function(struct emit *e, const char *symbol, const char *function)
{
    char name[KILN_TEXT_MAX];
    LLVMValueRef f = LLVMGetNamedFunction(e->module, function);
    int length = snprintf(name, sizeof name, "%s_%s", symbol, function);
    LLVMSetValueName2(f, name, (size_t)length);
    LLVMSetVisibility(f, LLVMHiddenVisibility);
}

static enum kiln_status emit_module(struct emit *e, const struct plan *p, const char *symbol,
                                    struct kiln_error *error)
{
    emit_begin(e, &p->cpu, (int)p->vec);
    p->algo->emit_run(e, p);
    name_module(e, p);
    p->algo->emit_pack(e, p);
    if (symbol) name_function(e, symbol, "run"), name_function(e, symbol, "pack");
    return codegen_verify(e, error);
}

static enum kiln_status make_image(const struct plan *p, LLVMMemoryBufferRef object, struct image **made,
                                   struct kiln_error *error)
{
    char line[KILN_TEXT_MAX];
    plan_print(p, line, sizeof line);
    enum kiln_status status =
        flatten(LLVMGetBufferStart(object), LLVMGetBufferSize(object), line, made, error);
    if (status) return status;
    struct plan_sizes sizes = p->algo->sizes(p);
    (*made)->packed_bytes = (uint64_t)sizes.packed * sizeof(float);
    (*made)->scratch_bytes = (uint64_t)sizes.scratch * sizeof(float);
    (*made)->tasks = (uint64_t)sizes.tasks;
    (*made)->exact = p->algo->exact;
    image_seal(*made);
    return KILN_STATUS_OK;
}

static void sink_module(struct emit *e, kiln_sink *sink, void *user)
{
    char *text = LLVMPrintModuleToString(e->module);
    sink(user, text, strlen(text));
    LLVMDisposeMessage(text);
}

/* The plan line, as a comment in any assembler's eyes. */
static void sink_title(const struct plan *p, kiln_sink *sink, void *user)
{
    char title[KILN_TEXT_MAX + 3] = "# ";
    size_t length = 2 + plan_print(p, title + 2, KILN_TEXT_MAX);
    title[length] = '\n';
    sink(user, title, length + 1);
}

static enum kiln_status sink_object(struct emit *e, const struct plan *p, enum kiln_dump what,
                                    kiln_sink *sink, void *user, struct kiln_error *error)
{
    LLVMMemoryBufferRef object;
    enum kiln_status status = codegen_object(e, what == KILN_DUMP_ASM, &object, error);
    if (status) return status;
    if (what == KILN_DUMP_IMAGE) {
        struct image *image;
        status = make_image(p, object, &image, error);
        if (!status) sink(user, (const char *)image, image->bytes), free(image);
    } else {
        if (what == KILN_DUMP_ASM) sink_title(p, sink, user);
        sink(user, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
    }
    LLVMDisposeMemoryBuffer(object);
    return status;
}

/* The whole of the generator: plan -> emit -> verify -> passes -> object -> flat image, left at `what`. */
static enum kiln_status generate(const struct request *r, enum kiln_dump what, kiln_sink *sink, void *user,
                                 struct kiln_error *error)
{
    struct plan p;
    struct emit e;
    enum kiln_status status = make_plan(r, &p, error);
    if (!status) status = codegen_begin(error);
    if (status) return status;
    status = emit_module(&e, &p, r->symbol, error);
    if (!status && what != KILN_DUMP_IR) status = codegen_passes(&e, error);
    if (!status && what <= KILN_DUMP_IR_OPT)
        sink_module(&e, sink, user);
    else if (!status)
        status = sink_object(&e, &p, what, sink, user, error);
    emit_end(&e);
    return status;
}

/* ---- the table ---- */

static enum kiln_status generator_compile(const struct request *r, kiln_sink *sink, void *user,
                                          struct kiln_error *error)
{
    return generate(r, KILN_DUMP_IMAGE, sink, user, error);
}

static void sink_line(const struct plan *p, kiln_sink *sink, void *user)
{
    char line[KILN_TEXT_MAX];
    sink(user, line, plan_print(p, line, sizeof line));
}

static enum kiln_status generator_plan(const struct request *r, kiln_sink *sink, void *user,
                                       struct kiln_error *error)
{
    struct plan p;
    enum kiln_status status = make_plan(r, &p, error);
    if (!status) sink_line(&p, sink, user);
    return status;
}

/* The plan, and beside it what the planner thought; a schedule that was given needs no choice beside it. */
static enum kiln_status explain_all(const struct request *r, const struct plan *p, struct text *t,
                                    struct kiln_error *error)
{
    struct choice choice;
    struct kiln_error why;
    struct plan asked = {.conv = p->conv, .cpu = p->cpu};
    struct limits limits = limits_of(r);
    explain_plan(p, t);
    enum kiln_status status = choose_plan(r, &asked, &choice, &why);
    if (!status) return explain_choice(&choice, &limits, r->schedule ? p : NULL, t, error);
    return status == KILN_STATUS_MEMORY ? fail(error, status, "%s", why.text) : KILN_STATUS_OK;
}

static enum kiln_status generator_explain(const struct request *r, kiln_sink *sink, void *user,
                                          struct kiln_error *error)
{
    struct plan p;
    char *room = malloc(EXPLAIN_ROOM);
    if (!room) return fail(error, KILN_STATUS_MEMORY, "no memory for an explanation");
    struct text t = text_into(room, EXPLAIN_ROOM);
    enum kiln_status status = make_plan(r, &p, error);
    if (!status) status = explain_all(r, &p, &t, error);
    if (!status) sink(user, room, t.length < EXPLAIN_ROOM ? t.length : EXPLAIN_ROOM - 1);
    free(room);
    return status;
}

/* A list of plan lines, that of the chosen one first and no more. Nothing is told before the first offer,
 * which there is only where the list could be made. */
struct listing {
    char chosen[KILN_TEXT_MAX];
    int left;
    bool begun;
    kiln_sink *sink;
    void *user;
};

static void list_begin(struct listing *l)
{
    if (!l->begun) l->sink(l->user, l->chosen, strlen(l->chosen));
    l->begun = true;
}

static void list_line(void *user, const struct plan *p)
{
    struct listing *l = user;
    char line[KILN_TEXT_MAX];
    size_t length = plan_print(p, line, sizeof line);
    list_begin(l);
    if (!l->left || !strcmp(line, l->chosen)) return;
    l->left--;
    l->sink(l->user, "\n", 1);
    l->sink(l->user, line, length);
}

static enum kiln_status list_lines(const struct request *r, const struct plan *chosen, kiln_sink *sink,
                                   void *user, struct kiln_error *error)
{
    struct limits limits = limits_of(r);
    struct listing l = {.left = r->candidates - 1, .sink = sink, .user = user};
    plan_print(chosen, l.chosen, sizeof l.chosen);
    enum kiln_status status = planner_list(chosen, &limits, (size_t)r->candidates, list_line, &l, error);
    if (!status) list_begin(&l);
    return status;
}

static enum kiln_status generator_candidates(const struct request *r, kiln_sink *sink, void *user,
                                             struct kiln_error *error)
{
    struct plan p;
    struct choice choice;
    if (r->schedule) return generator_plan(r, sink, user, error);
    enum kiln_status status = read_request(r, &p, error);
    if (!status) status = choose_plan(r, &p, &choice, error);
    if (status) return status;
    if (r->candidates) return list_lines(r, &p, sink, user, error);
    sink_line(&p, sink, user);
    for (int i = 0; i < algo_count; i++) {
        if (i == choice.winner || !choice.contenders[i].has_best) continue;
        sink(user, "\n", 1);
        sink_line(&choice.contenders[i].best, sink, user);
    }
    return KILN_STATUS_OK;
}

__attribute__((visibility("default"))) const struct generator *kiln_generator(void);

static struct generator table = {
    .version = GENERATOR_VERSION,
    .plan = generator_plan,
    .candidates = generator_candidates,
    .explain = generator_explain,
    .compile = generator_compile,
    .dump = generate,
};

static void complete_table(void)
{
    table.llvm = codegen_llvm_version();
    table.llvm_file = codegen_llvm_file();
}

const struct generator *kiln_generator(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, complete_table);
    return &table;
}
