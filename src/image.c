/* image: lays out and checks the flat form of one kernel. An image may come from a file that anyone
 * could have written: image_check trusts nothing in it, and whoever passed it need not check again. */
#include "image.h"

#include <stdlib.h>
#include <string.h>

/* Compiled in rather than linked, so that an image can be read where no such library is. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "status.h"

/* Little beside the largest kernel that the code budget allows, far below any overflow. */
enum { IMAGE_BYTES_MOST = 1 << 30 };

static const char magic[8] = "kilnimg";

static uint64_t align_up(uint64_t v, uint64_t to) { return (v + to - 1) / to * to; }

struct image *image_new(const char *plan_text, size_t code_bytes)
{
    size_t text_bytes = strlen(plan_text) + 1;
    if (text_bytes > IMAGE_BYTES_MOST / 2 || code_bytes > IMAGE_BYTES_MOST / 2) return NULL;
    uint64_t code = align_up(sizeof(struct image) + text_bytes, IMAGE_CODE_ALIGN);
    struct image *image = calloc(1, code + code_bytes);
    if (!image) return NULL;
    memcpy(image->magic, magic, sizeof magic);
    image->version = IMAGE_VERSION;
    image->bytes = code + code_bytes;
    image->text = sizeof *image;
    image->text_bytes = text_bytes;
    image->code = code;
    image->code_bytes = code_bytes;
    memcpy((char *)image + image->text, plan_text, text_bytes);
    return image;
}

static uint64_t checksum(const struct image *image)
{
    size_t from = offsetof(struct image, checksum) + sizeof image->checksum;
    return XXH3_64bits((const char *)image + from, image->bytes - from);
}

void image_seal(struct image *image) { image->checksum = checksum(image); }

/* Whether [offset, offset + count) lies behind the header and within the image, and is not empty. */
static bool within(const struct image *image, uint64_t offset, uint64_t count)
{
    return offset >= sizeof *image && offset <= image->bytes && count >= 1 && count <= image->bytes - offset;
}

static bool text_ends(const struct image *image)
{
    return memchr(image_text(image), '\0', image->text_bytes) == image_text(image) + image->text_bytes - 1;
}

enum kiln_status image_check(const struct image *image, size_t bytes, struct kiln_error *error)
{
#define NEED(condition, ...) \
    if (!(condition)) return fail(error, KILN_STATUS_INVALID, "image: " __VA_ARGS__)
    NEED(bytes >= sizeof *image, "%zu bytes are there: the header alone takes %zu", bytes, sizeof *image);
    NEED(!memcmp(image->magic, magic, sizeof magic), "does not begin with \"%s\"", magic);
    NEED(image->version == IMAGE_VERSION, "version is %u: must be %d", image->version, IMAGE_VERSION);
    NEED(image->bytes == bytes, "says %llu bytes: %zu are there", (unsigned long long)image->bytes, bytes);
    NEED(bytes <= IMAGE_BYTES_MOST, "%zu bytes: at most %d are allowed", bytes, IMAGE_BYTES_MOST);
    NEED(image->checksum == checksum(image), "the checksum does not fit: the contents were damaged");
    NEED(image->elf_machine == EM_X86_64 || image->elf_machine == EM_AARCH64,
         "machine is %u: must be x86-64 or aarch64", image->elf_machine);
    NEED(within(image, image->text, image->text_bytes), "the plan line lies outside");
    NEED(text_ends(image), "the plan line does not end where it should");
    NEED(within(image, image->code, image->code_bytes), "the code lies outside");
    NEED(image->code % IMAGE_CODE_ALIGN == 0, "the code is not aligned to %d", IMAGE_CODE_ALIGN);
    NEED(image->run < image->code_bytes && image->pack < image->code_bytes,
         "an entry point lies outside the code");
    NEED(image->packed_bytes <= PTRDIFF_MAX && image->scratch_bytes <= PTRDIFF_MAX &&
             image->tasks <= PTRDIFF_MAX,
         "packed, scratch or tasks is beyond what memory can hold");
    NEED(image->tasks >= 1, "tasks is 0: must be at least 1");
    NEED(image->exact <= 1, "exact is %llu: must be 0 or 1", (unsigned long long)image->exact);
#undef NEED
    return KILN_STATUS_OK;
}
