/* failing: the calls of Kiln's own code for memory, files and threads, and of no library's, made to fail on
 * demand. The linker leads them here (--wrap, in tests/CMakeLists.txt), in a test program and in the module
 * of its code generator; what libc, LLVM or pthreadpool call by themselves works as ever. */
#ifndef KILN_TESTS_FAILING_H
#define KILN_TESTS_FAILING_H

#include <stdbool.h>

/* From now on the nth call from here, counted from 0, fails, and with `rest` every later one. */
void failing_begin(long nth, bool rest);

/* No more of that. The name of the function that was the first to fail; NULL: there were not so many. */
const char *failing_end(void);

/* How much of what such calls have handed out is not given back. */
long failing_held(void);

#endif
