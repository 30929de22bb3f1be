/* benchdnn: problem descriptors of oneDNN's benchdnn, such as mb1ic64ih56oc64oh56kh3ph1. */
#ifndef KILN_SRC_BENCHDNN_H
#define KILN_SRC_BENCHDNN_H

#include "kiln.h"
#include "text.h"

/* INVALID, or UNSUPPORTED for one that leaves a part of src out; *c is then as it was. Else *c holds
 * what the word says, still to be checked. */
enum kiln_status benchdnn_read(struct kiln_conv *c, struct word word, struct kiln_error *error);

#endif
