/* What differs between oneDNN 2, whose descriptors of memory are structs, and 3, whose are objects. */
#ifndef KILN_BENCH_ONEDNN_VERSION_H
#define KILN_BENCH_ONEDNN_VERSION_H

#include <oneapi/dnnl/dnnl.h>

typedef dnnl_memory_desc_t desc; /* freed with desc_free; zeroed, it is none */

/* The tensors of a convolution, in the order in which they are passed. */
enum { SRC, WEIGHTS, BIAS, DST, TENSORS };

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t desc_ref;

static inline dnnl_status_t desc_make(desc *d, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(d, rank, dims, dnnl_f32, tag);
}

static inline desc_ref desc_of(const desc *d) { return *d; }

static inline void desc_free(desc *d)
{
    if (*d) dnnl_memory_desc_destroy(*d);
}

static inline dnnl_status_t conv_make(dnnl_primitive_desc_t *made, dnnl_engine_t engine,
                                      dnnl_primitive_attr_t attr, const desc_ref d[TENSORS],
                                      const int64_t *strides, const int64_t *dilates, const int64_t *low,
                                      const int64_t *high)
{
    return dnnl_convolution_forward_primitive_desc_create(made, engine, dnnl_forward_inference,
                                                          dnnl_convolution_auto, d[SRC], d[WEIGHTS], d[BIAS],
                                                          d[DST], strides, dilates, low, high, attr);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta)
{
    if (alg == dnnl_eltwise_hardswish) alpha = 1 / 6.0f, beta = 0.5f; /* implied before */
    return dnnl_post_ops_append_eltwise(ops, alg, alpha, beta);
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

#else

typedef const dnnl_memory_desc_t *desc_ref;

static inline dnnl_status_t desc_make(desc *d, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(d, rank, dims, dnnl_f32, tag);
}

static inline desc_ref desc_of(const desc *d) { return d; }
static inline void desc_free(desc *d) { (void)d; }

static inline dnnl_status_t conv_make(dnnl_primitive_desc_t *made, dnnl_engine_t engine,
                                      dnnl_primitive_attr_t attr, const desc_ref d[TENSORS],
                                      const int64_t *strides, const int64_t *dilates, const int64_t *low,
                                      const int64_t *high)
{
    dnnl_convolution_desc_t conv;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &conv, dnnl_forward_inference, dnnl_convolution_auto, d[SRC], d[WEIGHTS], d[BIAS], d[DST], strides,
        dilates, low, high);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &conv, attr, engine, NULL) : status;
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(ops, 1, alg, alpha, beta);
}

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1); }

#endif

#endif
