/* What the peers of bench share, and the model that ONNX Runtime is given, read back field by field: the
 * library itself is on few machines. */
#include "common.c"
#include "onnx.c"

#include <criterion/criterion.h>

/* A message, or the bytes of a field. */
struct view {
    const unsigned char *at, *end;
};

static uint64_t take_varint(struct view *v)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        cr_assert(v->at < v->end && shift < 64);
        unsigned char byte = *v->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
}

/* The i-th field of a number in a message; of a varint, its value in *number. Empty: there is none. */
static struct view field(struct view message, int number, int i, uint64_t *value)
{
    while (message.at < message.end) {
        uint64_t key = take_varint(&message), first = take_varint(&message);
        struct view found = {message.at, message.at};
        if (key % 8 == WIRE_BYTES) {
            cr_assert_leq(first, (uint64_t)(message.end - message.at));
            found.end = message.at += first;
        }
        if (key / 8 != (uint64_t)number || i--) continue;
        if (value) *value = first;
        return found;
    }
    return (struct view){0};
}

static bool is_text(struct view v, const char *text)
{
    return v.at && (size_t)(v.end - v.at) == strlen(text) && !memcmp(v.at, text, strlen(text));
}

static uint64_t number_of(struct view message, int number, int i)
{
    uint64_t value = UINT64_MAX;
    field(message, number, i, &value);
    return value;
}

/* The numbers of a node's attribute; those after them are UINT64_MAX. */
static void expect_ints(struct view node, const char *name, const int64_t *values, int count)
{
    struct view attribute;
    for (int i = 0; (attribute = field(node, 5, i, NULL)).at; i++)
        if (is_text(field(attribute, 1, 0, NULL), name)) break;
    cr_assert(attribute.at, "no attribute %s", name);
    for (int i = 0; i < count; i++)
        cr_expect_eq(number_of(attribute, 8, i), (uint64_t)values[i], "%s[%d]", name, i);
    cr_expect_eq(number_of(attribute, 8, count), UINT64_MAX);
    cr_expect_eq(number_of(attribute, 20, 0), ONNX_ATTRIBUTE_INTS);
}

static void expect_node(struct view graph, int i, const char *kind, const char *const *inputs,
                        const char *out)
{
    struct view node = field(graph, 1, i, NULL);
    cr_assert(is_text(field(node, 4, 0, NULL), kind), "node %d is no %s", i, kind);
    cr_expect(is_text(field(node, 2, 0, NULL), out));
    int count = 0;
    for (; inputs[count]; count++) cr_expect(is_text(field(node, 1, count, NULL), inputs[count]));
    cr_expect_null(field(node, 1, count, NULL).at);
}

static float weights[6 * 2 * 3 * 2], bias[6];

static void task_make(struct peer_task *task, struct kiln_conv *conv, struct chain *chain, const char *text)
{
    cr_assert_eq(kiln_conv_parse(conv, text, NULL), KILN_STATUS_OK);
    cr_assert_eq(plain_conv(conv, chain, NULL), KILN_STATUS_OK);
    *task = (struct peer_task){.conv = conv, .weights = weights, .bias = bias, .threads = 1};
    kiln_conv_output(conv, task->out, NULL);
    for (int i = 0; i < 72; i++) weights[i] = (float)i;
}

Test(peers, onnx_model)
{
    struct peer_task task;
    struct kiln_conv conv;
    struct chain chain;
    struct bytes model;
    task_make(&task, &conv, &chain,
              "conv n2 g2 ic4 ih9 iw300 oc6 kh3 kw2 sh2 dw2 pt1 pr3 f32 nchw +bias +add +clip(0,0.5)");
    cr_assert(onnx_model(&model, &task, &chain));
    struct view whole = {model.at, model.at + model.count}, graph = field(whole, 7, 0, NULL);
    cr_expect_eq(number_of(whole, 1, 0), IR_VERSION);
    cr_expect_eq(number_of(field(whole, 8, 0, NULL), 2, 0), OPSET);
    expect_node(graph, 0, "Conv", (const char *const[]){"x", "weights", "bias", NULL}, "product");
    expect_node(graph, 1, "Add", (const char *const[]){"product", "z", NULL}, "sum");
    expect_node(graph, 2, "Clip", (const char *const[]){"sum", "low", "high", NULL}, "y");
    struct view node = field(graph, 1, 0, NULL);
    expect_ints(node, "kernel_shape", (const int64_t[]){3, 2}, 2);
    expect_ints(node, "strides", (const int64_t[]){2, 1}, 2);
    expect_ints(node, "dilations", (const int64_t[]){1, 2}, 2);
    expect_ints(node, "pads", (const int64_t[]){1, 0, 0, 3}, 4);
    for (int i = 0; i < 4; i++) { /* the constants: clip's bounds, weights and bias */
        struct view constant = field(graph, 5, i, NULL), data = field(constant, 9, 0, NULL);
        if (!is_text(field(constant, 8, 0, NULL), "weights")) continue;
        cr_expect_eq(number_of(constant, 1, 1), 2);
        cr_assert_eq(data.end - data.at, sizeof weights);
        cr_expect(!memcmp(data.at, weights, sizeof weights));
    }
    struct view type = field(field(field(graph, 12, 0, NULL), 2, 0, NULL), 1, 0, NULL);
    cr_expect_eq(number_of(field(field(type, 2, 0, NULL), 1, 3, NULL), 1, 0), (uint64_t)task.out[2]);
    free(model.at);
}

Test(peers, onnx_model_least)
{
    struct peer_task task;
    struct kiln_conv conv;
    struct chain chain;
    struct bytes model;
    task_make(&task, &conv, &chain, "conv ic2 ih9 iw9 oc6 kh3 kw2 f32 nchw +relu");
    cr_assert(onnx_model(&model, &task, &chain));
    struct view graph = field((struct view){model.at, model.at + model.count}, 7, 0, NULL);
    expect_node(graph, 0, "Conv", (const char *const[]){"x", "weights", NULL}, "sum");
    expect_node(graph, 1, "Relu", (const char *const[]){"sum", NULL}, "y");
    cr_expect_null(field(graph, 1, 2, NULL).at);
    cr_expect_null(field(graph, 5, 1, NULL).at, "one constant: the weights");
    cr_expect_null(field(graph, 11, 1, NULL).at, "one input");
    free(model.at);
}

static const struct {
    const char *posts;
    bool good, bias, add;
    float low, high;
} chains[] = {
    {"", true, false, false, -INFINITY, INFINITY},
    {"+bias", true, true, false, -INFINITY, INFINITY},
    {"+bias +add +relu", true, true, true, 0, INFINITY},
    {"+add +clip(-1,2)", true, false, true, -1, 2},
    {"+relu +bias", false},
    {"+bias +sigmoid", false},
    {"+add +bias", false},
};

Test(peers, chains)
{
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        char text[128];
        struct kiln_conv conv;
        struct chain c;
        snprintf(text, sizeof text, "conv ic1 iw4 oc1 kw1 f32 nhwc %s", chains[i].posts);
        cr_assert_eq(kiln_conv_parse(&conv, text, NULL), KILN_STATUS_OK, "%s", text);
        bool good = chain_of(&conv, &c);
        cr_expect_eq(good, chains[i].good, "%s", text);
        if (good)
            cr_expect(c.bias == chains[i].bias && c.add == chains[i].add && c.low == chains[i].low &&
                          c.high == chains[i].high,
                      "%s", text);
    }
}

Test(peers, refused)
{
    static const struct {
        const char *text, *says;
    } refused[] = {
        {"conv ic1 iw4 oc1 kw1 bf16 nhwc", "f32"},
        {"conv ic1 iw4 oc1 kw3 pw1 mode=circular f32 nhwc", "zero padding"},
        {"conv ic1 id2 ih2 iw4 oc1 kd2 kh1 kw1 f32 nhwc", "dimensions"},
        {"conv ic1 iw4 oc1 kw1 f32 nhwc +tanh", "+bias +add +relu"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct kiln_conv conv;
        struct chain chain;
        struct kiln_error error = {0};
        cr_assert_eq(kiln_conv_parse(&conv, refused[i].text, NULL), KILN_STATUS_OK);
        cr_expect_eq(plain_conv(&conv, &chain, &error), KILN_STATUS_UNSUPPORTED);
        cr_expect(strstr(error.text, refused[i].says), "%s: %s", refused[i].text, error.text);
    }
}
