#include "post.h"

#include "conv.h"

static bool compiled(enum kiln_post_kind kind)
{
    return kind == KILN_POST_BIAS || kind == KILN_POST_ADD || kind == KILN_POST_RELU ||
           kind == KILN_POST_CLIP;
}

const char *post_supported(const struct kiln_conv *c)
{
    for (int i = 0; i < c->post_count; i++)
        if (!compiled(c->post[i].kind))
            return "post-ops other than bias, add, relu and clip are not compiled yet";
    return NULL;
}

struct operands post_operands(struct emit *e, const struct kiln_conv *c)
{
    return (struct operands){
        .bias = conv_has(c, KILN_POST_BIAS) ? arg(e, offsetof(struct kiln_args, bias)) : NULL,
        .add = conv_has(c, KILN_POST_ADD) ? arg(e, offsetof(struct kiln_args, add)) : NULL,
    };
}

value post_apply(struct emit *e, const struct kiln_conv *c, value v, value bias, value with)
{
    for (int i = 0; i < c->post_count; i++) {
        const struct kiln_post *op = &c->post[i];
        if (op->kind == KILN_POST_BIAS) v = vadd(e, v, bias);
        if (op->kind == KILN_POST_ADD) v = vadd(e, v, with);
        if (op->kind == KILN_POST_RELU) v = vrelu(e, v);
        if (op->kind == KILN_POST_CLIP) v = vclip(e, v, op->a, op->b);
    }
    return v;
}
