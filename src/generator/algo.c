#include "algo.h"

const struct algo *const algos[] = {&algo_winograd, &algo_pointwise, &algo_depthwise,
                                    &algo_lanewise, &algo_planes,    &algo_direct};
const int algo_count = sizeof algos / sizeof *algos;
