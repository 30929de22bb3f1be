#include "post.h"

#include "conv.h"
#include "curve.h"

/* Instructions for each vector, beside what brings the operand; 0: not compiled yet. */
static const int instructions[] = {
    [KILN_POST_BIAS] = 1,     [KILN_POST_ADD] = 1,       [KILN_POST_RELU] = 1,  [KILN_POST_LEAKY] = 3,
    [KILN_POST_CLIP] = 1,     [KILN_POST_SILU] = 24,     [KILN_POST_TANH] = 36, [KILN_POST_GELU] = 44,
    [KILN_POST_SIGMOID] = 24, [KILN_POST_HARDSWISH] = 5,
};

const char *post_supported(const struct kiln_conv *c)
{
    for (int i = 0; i < c->post_count; i++)
        if (!instructions[c->post[i].kind]) return "the post-ops scale and prelu are not compiled yet";
    return NULL;
}

double post_cost(const struct kiln_conv *c)
{
    double sum = 0;
    for (int i = 0; i < c->post_count; i++) sum += instructions[c->post[i].kind];
    return sum;
}

struct operands post_operands(struct emit *e, const struct kiln_conv *c)
{
    return (struct operands){
        .bias = conv_has(c, KILN_POST_BIAS) ? arg(e, offsetof(struct kiln_args, bias)) : NULL,
        .add = conv_has(c, KILN_POST_ADD) ? arg(e, offsetof(struct kiln_args, add)) : NULL,
    };
}

static value one_apply(struct emit *e, const struct kiln_post *op, value v, value bias, value with)
{
    switch (op->kind) {
    case KILN_POST_BIAS: return vadd(e, v, bias);
    case KILN_POST_ADD: return vadd(e, v, with);
    case KILN_POST_RELU: return vrelu(e, v);
    case KILN_POST_LEAKY: return vleaky(e, v, op->a);
    case KILN_POST_CLIP: return vclip(e, v, op->a, op->b);
    case KILN_POST_SIGMOID: return vsigmoid(e, v);
    case KILN_POST_TANH: return vtanh(e, v);
    case KILN_POST_SILU: return vsilu(e, v);
    case KILN_POST_GELU: return vgelu(e, v);
    case KILN_POST_HARDSWISH: return vhardswish(e, v);
    case KILN_POST_SCALE:
    case KILN_POST_PRELU: break; /* refused by post_supported */
    }
    return v;
}

value post_apply(struct emit *e, const struct kiln_conv *c, value v, value bias, value with)
{
    for (int i = 0; i < c->post_count; i++) v = one_apply(e, &c->post[i], v, bias, with);
    return v;
}
