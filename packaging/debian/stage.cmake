# Between installing and packing: Debian wants manual pages and the changelog compressed.
file(GLOB_RECURSE texts ${CPACK_TEMPORARY_DIRECTORY}/kiln*.[13] ${CPACK_TEMPORARY_DIRECTORY}/changelog)
execute_process(COMMAND gzip -9n ${texts} COMMAND_ERROR_IS_FATAL ANY)
