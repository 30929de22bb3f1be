/* winograd_tiles: the transforms of a block of tiles, from src to v and from sums to dst. */
#ifndef KILN_GENERATOR_WINOGRAD_TILES_H
#define KILN_GENERATOR_WINOGRAD_TILES_H

#include "post.h"
#include "winograd.h"

/* What is worked on, in emitted code: src of the group; dst, bias and add of an oc block's first channel;
 * tiles [begin, end) of all. */
struct winograd_job {
    value src, packed, dst, scratch;
    struct operands post;
    value begin, end;
};

void winograd_inputs(struct emit *e, const struct winograd *w, const struct winograd_job *job);
void winograd_outputs(struct emit *e, const struct winograd *w, const struct winograd_blocks *b,
                      const struct winograd_job *job);

#endif
