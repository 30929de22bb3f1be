/* onnx: the few messages of ONNX's protobuf schema that one convolution needs, written by hand. A message
 * is a row of fields; a field is its number and wire type, then a varint, or a length and bytes. The
 * numbers of the fields are those of onnx.proto. */
#include "onnx.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { ONNX_FLOAT = 1, ONNX_ATTRIBUTE_INT = 2, ONNX_ATTRIBUTE_INTS = 7 };
enum { IR_VERSION = 7, OPSET = 13 }; /* of 2020, and so known to every ONNX Runtime in use */

/* ---- the wire ---- */

static void put(struct bytes *b, const void *data, size_t count)
{
    if (b->failed) return;
    if (b->count + count > b->room) {
        size_t room = 2 * (b->count + count) + 64;
        unsigned char *at = realloc(b->at, room);
        if (!at) {
            b->failed = true;
            return;
        }
        b->at = at;
        b->room = room;
    }
    if (count) memcpy(b->at + b->count, data, count);
    b->count += count;
}

static void put_varint(struct bytes *b, uint64_t value)
{
    unsigned char digits[10];
    size_t count = 0;
    for (; value >= 128; value >>= 7) digits[count++] = (unsigned char)(value | 128);
    digits[count++] = (unsigned char)value;
    put(b, digits, count);
}

static void put_number(struct bytes *b, int field, int64_t value)
{
    put_varint(b, (uint64_t)field << 3 | WIRE_VARINT);
    put_varint(b, (uint64_t)value);
}

static void put_bytes(struct bytes *b, int field, const void *data, size_t count)
{
    put_varint(b, (uint64_t)field << 3 | WIRE_BYTES);
    put_varint(b, count);
    put(b, data, count);
}

static void put_text(struct bytes *b, int field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

/* Ends a message: it becomes a field of the one around it. */
static void put_message(struct bytes *around, int field, struct bytes *message)
{
    put_bytes(around, field, message->at, message->count);
    around->failed |= message->failed;
    free(message->at);
}

/* ---- the messages ---- */

static void put_attribute_ints(struct bytes *node, const char *name, const int64_t *values, int count)
{
    struct bytes a = {0};
    put_text(&a, 1, name);
    for (int i = 0; i < count; i++) put_number(&a, 8, values[i]);
    put_number(&a, 20, ONNX_ATTRIBUTE_INTS);
    put_message(node, 5, &a);
}

static void put_attribute_int(struct bytes *node, const char *name, int64_t value)
{
    struct bytes a = {0};
    put_text(&a, 1, name);
    put_number(&a, 3, value);
    put_number(&a, 20, ONNX_ATTRIBUTE_INT);
    put_message(node, 5, &a);
}

/* A constant tensor. */
static void put_constant(struct bytes *graph, const char *name, const int64_t *dims, int rank,
                         const float *data)
{
    struct bytes t = {0};
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        put_number(&t, 1, dims[i]);
        count *= (size_t)dims[i];
    }
    put_number(&t, 2, ONNX_FLOAT);
    put_text(&t, 8, name);
    put_bytes(&t, 9, data, count * sizeof *data); /* little-endian, as every machine of ours */
    put_message(graph, 5, &t);
}

/* An input (field 11) or output (field 12) of the graph. */
static void put_value(struct bytes *graph, int field, const char *name, const int64_t *dims, int rank)
{
    struct bytes value = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        struct bytes dim = {0};
        put_number(&dim, 1, dims[i]);
        put_message(&shape, 1, &dim);
    }
    put_number(&tensor, 1, ONNX_FLOAT);
    put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(graph, field, &value);
}

/* A node; names of inputs end with NULL. It stays open for attributes. */
static struct bytes node_make(const char *kind, const char *const *inputs, const char *output)
{
    struct bytes node = {0};
    for (; *inputs; inputs++) put_text(&node, 1, *inputs);
    put_text(&node, 2, output);
    put_text(&node, 3, kind); /* its name */
    put_text(&node, 4, kind);
    return node;
}

/* ---- the graph ---- */

static void put_conv(struct bytes *graph, const struct kiln_conv *c, bool bias, const char *output)
{
    struct bytes node =
        node_make("Conv", (const char *const[]){"x", "weights", bias ? "bias" : NULL, NULL}, output);
    put_attribute_ints(&node, "kernel_shape", (const int64_t[]){c->kh, c->kw}, 2);
    put_attribute_ints(&node, "strides", (const int64_t[]){c->sh, c->sw}, 2);
    put_attribute_ints(&node, "dilations", (const int64_t[]){c->dh, c->dw}, 2);
    put_attribute_ints(&node, "pads", (const int64_t[]){c->pt, c->pl, c->pb, c->pr}, 4);
    put_attribute_int(&node, "group", c->g);
    put_message(graph, 1, &node);
}

static void put_clamp(struct bytes *graph, const struct chain *chain, const char *input)
{
    bool relu = chain->low == 0 && isinf(chain->high);
    const char *const relu_inputs[] = {input, NULL}, *const clip_inputs[] = {input, "low", "high", NULL};
    struct bytes node = node_make(relu ? "Relu" : "Clip", relu ? relu_inputs : clip_inputs, "y");
    put_message(graph, 1, &node);
    if (relu) return;
    put_constant(graph, "low", NULL, 0, &chain->low);
    put_constant(graph, "high", NULL, 0, &chain->high);
}

static void put_nodes(struct bytes *graph, const struct kiln_conv *c, const struct chain *chain)
{
    bool clamp = chain->low > -INFINITY || chain->high < INFINITY;
    const char *sum = clamp ? "sum" : "y";
    put_conv(graph, c, chain->bias, chain->add ? "product" : sum);
    if (chain->add) {
        struct bytes node = node_make("Add", (const char *const[]){"product", "z", NULL}, sum);
        put_message(graph, 1, &node);
    }
    if (clamp) put_clamp(graph, chain, sum);
}

bool onnx_model(struct bytes *model, const struct peer_task *task, const struct chain *chain)
{
    const struct kiln_conv *c = task->conv;
    struct bytes graph = {0}, opset = {0};
    const int64_t y[] = {c->n, c->oc, task->out[1], task->out[2]};
    put_nodes(&graph, c, chain);
    put_text(&graph, 2, "one convolution");
    put_constant(&graph, "weights", (const int64_t[]){c->oc, c->ic / c->g, c->kh, c->kw}, 4, task->weights);
    if (chain->bias) put_constant(&graph, "bias", &c->oc, 1, task->bias);
    put_value(&graph, 11, "x", (const int64_t[]){c->n, c->ic, c->ih, c->iw}, 4);
    if (chain->add) put_value(&graph, 11, "z", y, 4);
    put_value(&graph, 12, "y", y, 4);
    *model = (struct bytes){0};
    put_number(model, 1, IR_VERSION);
    put_message(model, 7, &graph);
    put_text(&opset, 1, "");
    put_number(&opset, 2, OPSET);
    put_message(model, 8, &opset);
    return !model->failed;
}
