/* Owns which files a convolution needs and of which shapes. A tensor may be given with more
 * dimensions than it needs, as far as those are 1: [n][c][1][w] for a 1-D one. May assume a checked conv. */
#include "tensors.h"

#include "ask.h"

#include <stddef.h>
#include <string.h>

/* ---- shapes ---- */

int tensors_dims(const struct kiln_conv *c)
{
    int64_t out[3] = {1, 1, 1};
    kiln_conv_output(c, out, NULL);
    if (c->id > 1 || c->kd > 1 || out[0] > 1) return 3;
    return c->ih > 1 || c->kh > 1 || out[1] > 1 ? 2 : 1;
}

/* Batch, channels and the last `dims` of three extents, in the conv's layout. */
static int activation_shape(const struct kiln_conv *c, int64_t channels, const int64_t extents[3], int dims,
                            int64_t *shape)
{
    int rank = 0;
    shape[rank++] = c->n;
    if (c->layout == KILN_LAYOUT_NCHW) shape[rank++] = channels;
    for (int i = 3 - dims; i < 3; i++) shape[rank++] = extents[i];
    if (c->layout == KILN_LAYOUT_NHWC) shape[rank++] = channels;
    return rank;
}

typedef int shape_of(const struct kiln_conv *c, int dims, int64_t shape[NPY_RANK_MAX]);

static int src_shape(const struct kiln_conv *c, int dims, int64_t shape[NPY_RANK_MAX])
{
    return activation_shape(c, c->ic, (const int64_t[]){c->id, c->ih, c->iw}, dims, shape);
}

int tensors_dst_shape(const struct kiln_conv *c, int dims, int64_t shape[NPY_RANK_MAX])
{
    int64_t out[3] = {1, 1, 1};
    kiln_conv_output(c, out, NULL);
    return activation_shape(c, c->oc, out, dims, shape);
}

static int weights_shape(const struct kiln_conv *c, int dims, int64_t shape[NPY_RANK_MAX])
{
    const int64_t kernel[3] = {c->kd, c->kh, c->kw};
    shape[0] = c->oc;
    shape[1] = c->ic / c->g;
    for (int i = 0; i < dims; i++) shape[2 + i] = kernel[3 - dims + i];
    return 2 + dims;
}

static int channel_shape(const struct kiln_conv *c, int dims, int64_t shape[NPY_RANK_MAX])
{
    (void)dims;
    shape[0] = c->oc;
    return 1;
}

/* ---- which tensors a convolution has ---- */

enum { ALWAYS = -1 };

static const struct role {
    const char *name;
    size_t path; /* offset in struct tensor_files */
    int post;    /* the post-op that needs it, or ALWAYS */
    shape_of *shape;
    size_t pointer; /* offset in struct tensors */
} roles[] = {
#define ROLE(name, post, shape, member) \
    {#name, offsetof(struct tensor_files, name), post, shape, offsetof(struct tensors, member)}
    ROLE(src, ALWAYS, src_shape, args.src),
    ROLE(weights, ALWAYS, weights_shape, weights),
    ROLE(bias, KILN_POST_BIAS, channel_shape, args.bias),
    ROLE(scale, KILN_POST_SCALE, channel_shape, args.scale),
    ROLE(add, KILN_POST_ADD, tensors_dst_shape, args.add),
    ROLE(prelu, KILN_POST_PRELU, channel_shape, args.prelu),
#undef ROLE
};

static bool role_needed(const struct role *role, const struct kiln_conv *c)
{
    if (role->post == ALWAYS) return true;
    for (int i = 0; i < c->post_count; i++)
        if ((int)c->post[i].kind == role->post) return true;
    return false;
}

/* The number of spatial dimensions with which npy has the shape needed, or 0: none. */
static int shape_match(const struct role *role, const struct kiln_conv *c, const struct npy *npy)
{
    for (int dims = tensors_dims(c); dims <= 3; dims++) {
        int64_t shape[NPY_RANK_MAX];
        int rank = role->shape(c, dims, shape);
        if (rank == npy->rank && memcmp(shape, npy->shape, (size_t)rank * sizeof *shape) == 0) return dims;
    }
    return 0;
}

static bool shape_complain(const struct role *role, const struct kiln_conv *c, const struct npy *npy,
                           const char *path)
{
    char found[NPY_SHAPE_TEXT], needed[NPY_SHAPE_TEXT];
    int64_t shape[NPY_RANK_MAX];
    int rank = role->shape(c, tensors_dims(c), shape);
    npy_shape_print(found, npy->rank, npy->shape);
    npy_shape_print(needed, rank, shape);
    return complain("--%s: %s has the shape %s; the convolution needs %s", role->name, path, found, needed),
           false;
}

static bool role_read(struct tensors *t, const struct role *role, const struct kiln_conv *c,
                      const struct tensor_files *files)
{
    struct npy *npy = &t->npy[role - roles];
    const char *path = *(const char *const *)((const char *)files + role->path);
    bool needed = role_needed(role, c);
    if (!path && !needed) return true;
    if (!path) return complain("the convolution needs --%s FILE", role->name), false;
    if (!needed)
        return complain("--%s is given, but the convolution has no +%s", role->name, role->name), false;
    if (!npy_read(npy, path)) return false;
    int dims = shape_match(role, c, npy);
    if (dims == 0) return shape_complain(role, c, npy, path);
    if (role->shape == src_shape) t->dims = dims;
    memcpy((char *)t + role->pointer, &npy->data, sizeof npy->data);
    return true;
}

bool tensors_read(struct tensors *tensors, const struct kiln_conv *c, const struct tensor_files *files)
{
    *tensors = (struct tensors){0};
    if (c->src != KILN_TYPE_F32 || c->weights != KILN_TYPE_F32 || c->dst != KILN_TYPE_F32)
        return complain("files of f32 tensors only are read so far"), false;
    bool good = true;
    for (size_t i = 0; good && i < sizeof roles / sizeof *roles; i++)
        good = role_read(tensors, &roles[i], c, files);
    if (!good) tensors_free(tensors);
    return good;
}

void tensors_free(struct tensors *tensors)
{
    for (int i = 0; i < TENSOR_FILES; i++) npy_free(&tensors->npy[i]);
}
