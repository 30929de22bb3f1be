/* Kiln as an operation of a framework with a crew of threads of its own. In ggml, a custom operation is a
 * function that every thread calls, with its number ith of nth; the tensor and the crew below stand for
 * ggml's. A graph takes over the callback: ggml_map_custom1(ctx, x, conv_op, GGML_N_TASKS_MAX, &layer), or
 * where dst has another shape than x ggml_custom_4d, which has x in dst->src[0]. */
#include <kiln.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* As ggml's: ne[0] is the extent that changes fastest. Here width, height, channels, images: nchw. */
struct tensor {
    int64_t ne[4];
    void *data;
};

/* What userdata points to: made once, with the graph. */
struct layer {
    struct kiln_plan *plan;
    void *packed;
    const float *bias;
};

static void must(enum kiln_status status, const struct kiln_error *error)
{
    if (status == KILN_STATUS_OK) return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

/* dst = relu(conv(a) + bias). Each thread keeps scratch memory of its own from call to call. */
static void conv_op(struct tensor *dst, const struct tensor *a, int ith, int nth, void *userdata)
{
    const struct layer *layer = userdata;
    struct kiln_args args = {.src = a->data, .weights = layer->packed, .bias = layer->bias, .dst = dst->data};
    struct kiln_error error;
    must(kiln_run_part(layer->plan, &args, NULL, (size_t)ith, (size_t)nth, &error), &error);
}

/* ---- what stands for the framework ---- */

enum { CREW = 3, C = 16, SIDE = 20, COUNT = C * SIDE * SIDE };

static float x[COUNT], weights[C * C * 9], bias[C], y[COUNT], expected[COUNT];
static struct tensor a = {{SIDE, SIDE, C, 1}, x}, dst = {{SIDE, SIDE, C, 1}, y};

struct member {
    pthread_t thread;
    int ith;
    struct layer *layer;
};

static void *member_work(void *arg)
{
    const struct member *m = arg;
    conv_op(&dst, &a, m->ith, CREW, m->layer);
    return NULL;
}

static void crew_run(struct layer *layer)
{
    struct member crew[CREW];
    for (int i = 0; i < CREW; i++) {
        crew[i] = (struct member){.ith = i, .layer = layer};
        if (pthread_create(&crew[i].thread, NULL, member_work, &crew[i])) exit(1);
    }
    for (int i = 0; i < CREW; i++) pthread_join(crew[i].thread, NULL);
}

/* Small integers, on which f32 makes no error. */
static void fill(float *to, int count, int factor)
{
    for (int i = 0; i < count; i++) to[i] = (float)(i * factor % 19 - 9);
}

int main(void)
{
    const char *text = "conv ic16 ih20 iw20 oc16 kh3 kw3 ph1 pw1 nchw strict +bias +relu";
    struct kiln_conv conv;
    struct kiln_error error;
    struct kiln *k;
    struct layer layer = {.bias = bias};
    fill(x, COUNT, 7), fill(weights, C * C * 9, 5), fill(bias, C, 3);
    must(kiln_conv_parse(&conv, text, &error), &error);
    must(kiln_create(&k, NULL, &error), &error);
    must(kiln_compile(k, &conv, NULL, &layer.plan, &error), &error);
    layer.packed = aligned_alloc(64, (kiln_plan_packed_size(layer.plan) + 63) / 64 * 64);
    must(kiln_pack(layer.plan, weights, layer.packed, &error), &error);

    crew_run(&layer);
    struct kiln_args args = {.src = x, .bias = bias, .dst = expected};
    must(kiln_interpret(&conv, weights, &args, &error), &error);
    int wrong = 0;
    for (int i = 0; i < COUNT; i++) wrong += y[i] != expected[i];
    printf("%d threads: %d of %d elements are wrong\n", CREW, wrong, COUNT);
    kiln_plan_release(layer.plan), kiln_destroy(k), free(layer.packed);
    return wrong != 0;
}
