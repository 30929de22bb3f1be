/* peer: what `kiln bench` asks of a library it measures Kiln against. A peer is a module named
 * kiln-peer-NAME.so beside the kiln program, with one exported function, peer_entry. It includes
 * kiln.h for the structs and links nothing of Kiln. */
#ifndef KILN_BENCH_PEER_H
#define KILN_BENCH_PEER_H

#include "kiln.h"

enum { PEER_VERSION = 1 };

/* One convolution with its tensors, dense, in the conv's own layout; weights[oc][icg][kd][kh][kw].
 * Those that the conv does not use are NULL. All of it outlives the handles made from it. */
struct peer_task {
    const struct kiln_conv *conv;
    int64_t out[3]; /* od, oh, ow */
    const float *src, *weights, *bias, *scale, *add, *prelu;
    int threads;
};

struct peer {
    uint32_t version; /* PEER_VERSION */
    const char *name;
    /* The name of the i-th way this library can be asked for conv, such as "plain"; NULL: no more. */
    const char *(*variant)(const struct kiln_conv *conv, int i);
    /* Makes everything ready outside the timed region: weights packed, tensors in the variant's
     * layout, post-ops fused. UNSUPPORTED: what the library does not do, in a sentence. */
    enum kiln_status (*create)(const struct peer_task *task, const char *variant, void **handle,
                               struct kiln_error *error);
    void (*run)(void *handle); /* what is timed */
    /* Runs once more, from fresh inputs, and writes the result in the conv's own layout. */
    enum kiln_status (*result)(void *handle, float *dst, struct kiln_error *error);
    void (*destroy)(void *handle);
};

typedef const struct peer *peer_entry_function(void);
#define PEER_SYMBOL "peer_entry"

#endif
