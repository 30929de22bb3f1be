/* Tests that are started by hand leave the user's cache alone, as those that CTest starts do. */
#include <stdlib.h>

__attribute__((constructor)) static void no_cache(void) { setenv("KILN_CACHE", "off", 0); }
