#include "algo.h"

const struct algo *const algos[] = {&algo_pointwise, &algo_depthwise, &algo_direct};
const int algo_count = sizeof algos / sizeof *algos;
